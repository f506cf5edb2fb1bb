from __future__ import annotations

import pytest

from labthings_fastapi.exceptions import ThingNameError
from labthings_fastapi.thing_description.paths import (
    RESERVED_AFFORDANCES,
    RESERVED_THINGS,
    THING_NAME,
    affordance_path,
    normalise_thing_path,
    thing_path,
)


@pytest.mark.parametrize("prefix", ["/api/v1", "api/v1", "/api/v1/"])
def test_a_prefix_may_have_slashes_or_not(prefix):
    assert thing_path("stage", prefix) == "/api/v1/stage/"


@pytest.mark.parametrize("prefix", ["", "/"])
def test_without_a_prefix_things_are_at_the_top(prefix):
    assert thing_path("stage", prefix) == "/stage/"


def test_affordances_are_below_their_thing():
    assert affordance_path("/stage/", "move_to") == "/stage/move_to"


def test_letters_that_a_url_cannot_hold_are_encoded():
    assert affordance_path("/stage/", "größe") == "/stage/gr%C3%B6%C3%9Fe"


@pytest.mark.parametrize("path", ["a/b", "/a/b", "a/b/", "/a/b/"])
def test_a_path_has_one_form(path):
    assert normalise_thing_path(path) == "/a/b/"


@pytest.mark.parametrize(
    "path",
    ["", "/", "//", "//a/", "/a//b/", "/a//", "/../a/", "/a/./", "/a b/", "/a%20b/", "/a?b", "/ä/",
     "http://host/a", "/a\n/"],
)  # fmt: skip
def test_a_path_that_does_not_fit_in_a_url_is_refused_with_a_remedy(path):
    with pytest.raises(ThingNameError, match="Use segments of letters") as caught:
        normalise_thing_path(path)
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize("first", sorted(RESERVED_THINGS))
def test_paths_of_the_server_are_no_paths_of_things(first):
    with pytest.raises(ThingNameError, match="Thing"):
        normalise_thing_path(f"/{first}/stage/")


@pytest.mark.parametrize("last", sorted(RESERVED_AFFORDANCES))
def test_paths_of_the_server_below_things_are_no_paths_of_other_things(last):
    with pytest.raises(ThingNameError, match=f"'{last}'"):
        normalise_thing_path(f"/stage/{last}/")


@pytest.mark.parametrize("name", ["stage", "Left-Stage_2", "0"])
def test_names_of_things(name):
    assert THING_NAME.fullmatch(name)
    assert normalise_thing_path(name) == thing_path(name)


def test_a_deeper_segment_may_repeat_what_is_reserved_for_the_first():
    assert normalise_thing_path("/rig/docs/") == "/rig/docs/"
