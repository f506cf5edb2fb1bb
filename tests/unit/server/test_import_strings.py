"""Import strings."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi.server.import_strings import ImportMistakeError, import_thing_class


def test_a_class_is_found_by_module_and_name():
    assert import_thing_class("labthings_fastapi.thing:Thing") is lt.Thing
    assert import_thing_class(lt.Thing) is lt.Thing


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("labthings_fastapi.thing.Thing", "must look like"),
        ("nowhere:Thing", "cannot be imported"),
        ("labthings_fastapi.thing:Nothing", "has no class 'Nothing'"),
        ("labthings_fastapi.thing:slots_of", "not a subclass"),
        ("builtins:int", "not a subclass"),
        (None, "not a subclass"),
        (lt.Thing(), "not a subclass"),
    ],
)
def test_a_mistake_says_what_stands_in_the_way(source, said):
    with pytest.raises(ImportMistakeError, match=said):
        import_thing_class(source)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit(1)", "SystemExit: 1"),
        ("1 / 0", "ZeroDivisionError"),
        ("x =", "SyntaxError"),
    ],
)
def test_a_module_may_do_anything_while_it_is_imported(tmp_path, monkeypatch, code, said):
    name = f"hostile_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportMistakeError, match=said):
        import_thing_class(f"{name}:Thing")
