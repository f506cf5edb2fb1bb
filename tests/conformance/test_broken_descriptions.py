"""Descriptions of the demo bench, broken at random: validation never fails in another way."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ThingDescriptionError
from labthings_fastapi.thing_description.describe import TD_CONTEXT
from labthings_fastapi.thing_description.validation import validate

GONE = "(gone)"
Path = tuple[str | int, ...]

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from(["", "x", "a b", "{x}", "number", "integer", "object", "array", "de-CH"]),
    st.sampled_from(["readproperty", "invokeaction", "subscribeevent", "readallproperties"]),
    st.sampled_from(["nosec_sc", "http://lamp.example/", TD_CONTEXT, "2026-01-01T00:00:00Z"]),
    st.sampled_from([[], {}, [{}], [""], ["x", "y"], {"x": {}}, {"x": 1}, [[]]]),
).map(copy.deepcopy)


def places(document: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every member and item."""
    members = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in members:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutated(document: Any, path: Path, value: Any) -> Any:
    """Return a copy with one place changed or gone."""
    changed = copy.deepcopy(document)
    *way, last = path
    place = changed
    for step in way:
        place = place[step]
    if value == GONE:
        del place[last]
    else:
        place[last] = value
    return changed


def ours(document: Any) -> str | None:
    try:
        validate(document)
    except ThingDescriptionError as error:
        return str(error)
    return None


# A rule that a JSON schema cannot express: names must be declared. The `official`
# fixture does not check the format of a URI, which jsonschema leaves to another package.
STRICTER = re.compile(
    r"is not a 'uri'|is not in '(securityDefinitions|uriVariables|schemaDefinitions)'"
)


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """The descriptions of the demo bench, and of its directory."""
    file = resources.files("labthings_fastapi.demo") / "bench.json"
    things = json.loads(file.read_text("utf-8"))["things"]
    folder = tmp_path_factory.mktemp("settings")
    server = lt.ThingServer.from_things(things, settings_folder=str(folder))
    with server.test_client() as client:
        found = list(client.get("/thing_descriptions/").json().values())
        return [*found, client.get("/.well-known/wot").json()]


def test_the_packaged_schema_is_the_official_one(packages):
    published = packages / "wot-thing-description-types/schema/td-json-schema-validation.json"
    ours = resources.files("labthings_fastapi.thing_description") / published.name
    assert json.loads(ours.read_text("utf-8")) == json.loads(published.read_text("utf-8"))


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_one_place_broken_is_seen_by_both_or_for_a_reason(official, documents, data):
    document = data.draw(st.sampled_from(documents))
    path = data.draw(st.sampled_from(list(places(document))))
    broken = mutated(document, path, data.draw(VALUES | st.just(GONE)))
    message = ours(broken)
    theirs = [error.message for error in official.iter_errors(broken)]
    if message is None:
        assert theirs == []
    elif not theirs:
        assert all(STRICTER.search(line) for line in message.splitlines()[1:]), message


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("id",), "not a URI", "is not a 'uri'"),
        (("security",), "key_sc", "'key_sc' is not in 'securityDefinitions'"),
        (("actions", "move_to", "uriVariables"), GONE, "'actionID' is not in 'uriVariables'"),
    ],
)
def test_where_we_are_stricter_the_reason_is_listed(official, documents, path, value, reason):
    [stage] = [each for each in documents if "move_to" in each.get("actions", {})]
    broken = mutated(stage, path, value)
    assert official.is_valid(broken)
    assert reason in ours(broken)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("securityDefinitions", "nosec_sc", "scheme"), []),
        (("securityDefinitions", "nosec_sc", "scheme"), {}),
        (("@context", 1), {"x": 1}),
        (("@context", 1, "labthings"), {}),
        (("@context",), {}),
    ],
)
def test_what_hypothesis_found_once_is_refused_by_both(official, documents, path, value):
    broken = mutated(documents[0], path, value)
    assert not official.is_valid(broken)
    assert ours(broken)
