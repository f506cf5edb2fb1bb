"""What others think of our Thing Descriptions, and whether our own validation thinks the same."""

from __future__ import annotations

import copy
import json
from importlib import resources

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ThingDescriptionError
from labthings_fastapi.thing_description.describe import TD_CONTEXT
from labthings_fastapi.thing_description.validation import validate

pytestmark = pytest.mark.timeout(150)  # Node needs half a minute, longer on a busy computer

TD = "https://www.w3.org/2019/wot/td#"
# None of the packages holds the W3C's context, and tests fetch nothing. This stand-in gives its
# terms some IRI, so that the JSON-LD around them can be judged: prefixes, types, ids, languages.
STAND_IN_CONTEXT = {
    "@context": {
        "@vocab": TD,
        "id": "@id",
        "htv": "http://www.w3.org/2011/http#",
        "properties": {"@id": f"{TD}properties", "@container": "@index"},
        "actions": {"@id": f"{TD}actions", "@container": "@index"},
        "events": {"@id": f"{TD}events", "@container": "@index"},
    }
}
THINGS = {
    "stage": "labthings_fastapi.demo.stage:Stage",
    "camera": "labthings_fastapi.demo.camera:Camera",
    "autofocus": "labthings_fastapi.demo.autofocus:Autofocus",
    "scan": "labthings_fastapi.demo.scanner:TileScan",
    "host": "labthings_fastapi.demo.host:Host",
    "example": "labthings_fastapi.example_things:MyThing",
    "broken": "labthings_fastapi.example_things:ThingWithBrokenAffordances",
}


@pytest.fixture(scope="module")
def descriptions(tmp_path_factory):
    """Every description that the package itself can make, by the name of the Thing."""
    folder = tmp_path_factory.mktemp("settings")
    server = lt.ThingServer.from_things(THINGS, settings_folder=str(folder))
    with server.test_client() as client:
        return client.get("/thing_descriptions/").json()


@pytest.fixture(scope="module")
def verdicts(in_node, descriptions):
    """The verdicts of the Playground and of a JSON-LD processor on each description."""
    contexts = {TD_CONTEXT: STAND_IN_CONTEXT}
    return in_node("judge.mjs", documents=descriptions, contexts=contexts)


def test_no_thing_of_the_bench_is_forgotten():
    file = resources.files("labthings_fastapi.demo") / "bench.json"
    assert set(json.loads(file.read_text("utf-8"))["things"].values()) <= set(THINGS.values())


@pytest.mark.parametrize("name", THINGS)
def test_the_official_schema_and_our_validation_accept_what_we_write(official, descriptions, name):
    assert [error.message for error in official.iter_errors(descriptions[name])] == []
    validate(descriptions[name])


@pytest.mark.parametrize("name", THINGS)
def test_the_playground_finds_nothing_wrong(verdicts, name):
    verdict = verdicts[name]["playground"]
    assert verdict["report"]["json"] == "passed", verdict
    assert verdict["report"]["schema"] == "passed", verdict
    # It warns of objects whose members are not known beforehand, such as any dictionary.
    warned = {check for check, result in verdict["details"].items() if result == "warning"}
    assert warned <= {"propItems"}, verdict
    assert "failed" not in [verdict["report"]["additional"], *verdict["details"].values()], verdict


@pytest.mark.parametrize("name", THINGS)
def test_no_assertion_of_the_recommendation_is_broken(verdicts, name):
    assert verdicts[name]["failedAssertions"] == []


@pytest.mark.parametrize("name", THINGS)
def test_it_is_json_ld_in_which_nothing_gets_lost(verdicts, descriptions, name):
    """The processor runs in its safe mode: a term or prefix that means nothing is an error."""
    [thing] = verdicts[name]["expanded"]
    assert thing["@id"] == descriptions[name]["id"]
    assert thing["@type"] == [f"{TD}Thing"]
    found = {node["@index"] for node in thing.get(f"{TD}properties", [])}
    assert found == set(descriptions[name].get("properties", {}))


SMALL = {
    "@context": TD_CONTEXT,
    "title": "Lamp",
    "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}},
    "security": "nosec_sc",
    "properties": {
        "level": {
            "type": "number",
            "forms": [{"href": "http://lamp.example/level", "op": "readproperty"}],
        }
    },
    "actions": {
        "blink": {
            "input": {"type": "object", "properties": {"times": {"type": "integer"}}},
            "forms": [{"href": "http://lamp.example/blink"}],
        }
    },
    "events": {
        "burnt_out": {
            "data": {"type": "string"},
            "forms": [{"href": "http://lamp.example/burnt", "op": "subscribeevent"}],
        }
    },
}
LEVEL = ("properties", "level")
BLINK = ("actions", "blink")
BURNT_OUT = ("events", "burnt_out")
GONE = object()
# A path into the small document, and the value to put there.
FINE = [
    (("@context",), ["https://www.w3.org/2019/wot/td/v1", TD_CONTEXT]),
    (("@context",), [TD_CONTEXT, {"om": "http://www.ontology-of-units-of-measure.org/"}]),
    (("security",), ["nosec_sc"]),
    (("created",), "2026-01-01T00:00:00Z"),
    (("version",), {"instance": "1.0"}),
    ((*LEVEL, "enum"), [1, 2]),
    ((*LEVEL, "oneOf"), [{"type": "number"}, {"type": "null"}]),
    ((*LEVEL, "labthings:group"), "light"),
    ((*BLINK, "synchronous"), True),
]
BROKEN = [
    (("@context",), GONE),
    (("@context",), "https://example.org/another/context"),
    (("title",), GONE),
    (("title",), 5),
    (("security",), GONE),
    (("security",), []),
    (("securityDefinitions",), GONE),
    (("securityDefinitions", "nosec_sc", "scheme"), GONE),
    (("created",), "yesterday"),
    (("version",), {}),
    (("base",), 7),
    (("properties",), []),
    ((*LEVEL, "forms"), GONE),
    ((*LEVEL, "forms"), []),
    ((*LEVEL, "forms", 0, "href"), GONE),
    ((*LEVEL, "forms", 0, "op"), "invokeaction"),
    ((*LEVEL, "forms", 0, "op"), "look"),
    ((*LEVEL, "forms", 0, "op"), []),
    ((*LEVEL, "type"), "float"),
    ((*LEVEL, "minimum"), "low"),
    ((*LEVEL, "readOnly"), "yes"),
    ((*LEVEL, "observable"), None),
    ((*LEVEL, "enum"), []),
    ((*LEVEL, "unit"), 3),
    ((*BLINK, "forms", 0, "op"), "readproperty"),
    ((*BLINK, "safe"), "yes"),
    ((*BLINK, "input"), "a number"),
    ((*BURNT_OUT, "data"), {"type": "text"}),
    ((*BURNT_OUT, "forms", 0, "op"), "observeproperty"),
]


def changed(path, value):
    """Return the small document with one place changed."""
    document = copy.deepcopy(SMALL)
    *way, last = path
    place = document
    for step in way:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return document


@pytest.mark.parametrize(("path", "value"), FINE)
def test_our_validation_accepts_what_the_official_schema_accepts(official, path, value):
    assert official.is_valid(changed(path, value))
    validate(changed(path, value))


@pytest.mark.parametrize(("path", "value"), BROKEN)
def test_our_validation_refuses_what_the_official_schema_refuses(official, path, value):
    assert not official.is_valid(changed(path, value))
    with pytest.raises(ThingDescriptionError):
        validate(changed(path, value))
