"""Python modules written from Thing Descriptions."""

from __future__ import annotations

import ast
from typing import Any

from labthings_fastapi.client.description import Description
from labthings_fastapi.client.written_client import written_client

FORMS: list[Any] = [{"href": "x"}]


def write(members: dict[str, Any], *, asynchronous: bool = False) -> str:
    found = Description("http://localhost/thing/", {"title": "Thing", **members})
    return written_client({"my-thing": found}, asynchronous=asynchronous)


def test_the_text_does_not_depend_on_the_address() -> None:
    members = {"title": "T", "properties": {"speed": {"type": "number", "forms": FORMS}}}
    texts = {
        written_client({"stage": Description(url, members)})
        for url in ("http://lab-pc:5000/stage/", "https://127.0.0.1/stage/")
    }
    assert len(texts) == 1


def test_a_description_cannot_put_code_into_the_module() -> None:
    evil = 'a"""\nimport os\nos.abort()\n"""\\'
    object_of = {"type": "object", "properties": {evil: {"enum": [evil, "b"]}}, "title": evil}
    members = {
        "title": evil,
        "description": evil,
        "properties": {evil: {"type": "string", "description": evil, "forms": FORMS}},
        "actions": {evil: {"input": object_of, "output": object_of, "forms": FORMS}},
    }
    for asynchronous in (False, True):
        tree = ast.parse(write(members, asynchronous=asynchronous))
        modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert all(each.partition(".")[0] != "os" for each in modules)
        assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


def test_names_that_python_does_not_allow_are_mended_and_sent_as_they_are() -> None:
    members = {
        "properties": {"property": {"type": "integer", "forms": FORMS}},
        "actions": {
            "import": {
                "input": {"type": "object", "properties": {"from": {"type": "number"}}},
                "forms": FORMS,
            }
        },
    }
    text = write(members)
    ast.parse(text)
    assert "def property_(self) -> int:" in text
    assert "def import_(self, from_: float | None = None) -> None:" in text
    assert '**given_({"from": from_})' in text
