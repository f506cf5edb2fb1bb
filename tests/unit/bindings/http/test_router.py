"""From a path to its resource."""

from __future__ import annotations

from labthings_fastapi.bindings.http.router import Router


class Named:
    fallthrough_methods = frozenset()

    def __init__(self, what):
        self.what = what
        self.handlers = {}


def table_of(*paths):
    table = Router()
    for path in paths:
        fixed = {path: Named(path), f"{path}speed": Named(f"{path}speed")}
        table.add(path.strip("/"), path, fixed, {f"{path}move": Named(f"a run below {path}")})
    return table


def test_what_was_added_is_found_by_its_whole_path():
    table = table_of("/stage/", "/a/b/")
    assert table.find("/stage/").what == "/stage/"
    assert table.find("/a/b/speed").what == "/a/b/speed"


def test_a_run_is_found_below_its_action():
    table = table_of("/stage/")
    assert table.find("/stage/move/123").what == "a run below /stage/"


def test_everything_else_is_left_to_others():
    table = table_of("/stage/")
    for path in ("", "/", "/stage", "/stage/sped", "/stage/move/1/2", "stage/", "//stage/"):
        assert table.find(path) is None


def test_near_a_thing_its_members_are_named():
    table = table_of("/stage/", "/a/b/")
    assert (
        table.not_found_detail("/stage/sped")
        == "Thing 'stage' has nothing at 'sped'. It has: speed."
    )
    assert table.not_found_detail("/nowhere") == (
        "There is nothing at '/nowhere'. Things are served at: /a/b/, /stage/."
    )
    assert "no path yet" in Router().not_found_detail("/")
