"""Import strings."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi.server.config_model import ImportStringError, import_thing_class


def test_a_class_is_found_by_module_and_name():
    assert import_thing_class("labthings_fastapi.thing:Thing") is lt.Thing
    assert import_thing_class("labthings_fastapi.thing.Thing") is lt.Thing
    assert import_thing_class(lt.Thing) is lt.Thing


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Thing", "must look like"),
        ("labthings_fastapi.thing:", "must look like"),
        ("nowhere:Thing", "'nowhere' cannot be imported"),
        ("nowhere.at.all.Thing", "'nowhere.at.all' cannot be imported"),
        ("labthings_fastapi.thing:Nothing", "has no class 'Nothing'"),
        ("labthings_fastapi.thing:slots_of", "not a subclass"),
        ("builtins:int", "not a subclass"),
        (None, "not a subclass"),
        (lt.Thing(), "not a subclass"),
    ],
)
def test_an_error_says_what_is_wrong(source, message):
    with pytest.raises(ImportStringError, match=message):
        import_thing_class(source)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit(1)", "SystemExit: 1"),
        ("1 / 0", "ZeroDivisionError"),
        ("x =", "SyntaxError"),
        ("import a_missing_driver", "No module named 'a_missing_driver'"),
    ],
)
def test_a_module_may_do_anything_while_it_is_imported(tmp_path, monkeypatch, code, message):
    name = f"hostile_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportStringError, match=message):
        import_thing_class(f"{name}:Thing")
    with pytest.raises(ImportStringError, match=message):
        import_thing_class(f"{name}.Thing")
