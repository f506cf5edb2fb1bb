"""Thing Descriptions, clause by clause: WoT TD 1.1 (T) and WoT Profiles (P)."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import BaseModel, Field

import labthings_fastapi as lt
from labthings_fastapi.thing_description.validation import validate


class Place(BaseModel):
    """A point in space."""

    x: float = Field(0.0, allow_inf_nan=False)
    y: Annotated[float, Field(allow_inf_nan=False, json_schema_extra={"unit": "om:metre"})] = 0.0


class Probe(lt.Thing):
    """Probe that is moved by hand.

    It has one axis.
    """

    semantic_type: ClassVar[list[str]] = ["saref:Sensor", "https://lab.example/types#Probe"]

    place: Place = lt.property(default=Place(), unit="om:micrometre")
    """Where the probe is."""

    depth: float = lt.property(default=1.0, allow_inf_nan=False, unit="mm")
    """Depth.

    Below the surface.
    """

    fixed: str = lt.property(default="F", readonly=True)

    labels: dict[str, str] = lt.property(default_factory=dict)

    touched: lt.Event[Annotated[float, Field(allow_inf_nan=False)]] = lt.event(unit="om:newton")
    """The tip touched something."""

    lifted: lt.Event[None] = lt.event()

    @lt.action(idempotent=True)
    def move(self, to: Annotated[float, Field(ge=0, le=5)] = 0.0) -> Place:
        """Move the tip.

        It does not stop on the way.

        Args:
            to: the target

        Returns:
            Where it is now.
        """
        return Place(x=to)

    @lt.action(synchronous=True, safe=True)
    def look(self) -> int:
        return 1


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer(
        {
            "things": {"probe": Probe},
            "settings_folder": tmp_path / "settings",
            "support": "anna@lab.example",
            "language": "de-CH",
            "api_prefix": "/api",
        }
    )


@pytest.fixture
def td(server):
    with server.test_client() as client:
        found: dict[str, Any] = client.get("/api/probe/").json()
    validate(found)
    return found


def all_forms(td):
    """Yield each affordance's name with its forms, and the forms of the Thing."""
    yield "", td["forms"]
    for part in ("properties", "actions", "events"):
        for name, affordance in td[part].items():
            yield name, affordance["forms"]


def over_http(forms):
    return [form for form in forms if form["href"].startswith("http:")]


def streams(td):
    return {
        name: [form for form in forms if form.get("subprotocol") == "sse"]
        for name, forms in all_forms(td)
        if any(form.get("subprotocol") == "sse" for form in forms)
    }


def test_a_stream_says_the_type_of_its_data_p_7_2_1_1(td):
    assert set(streams(td)) == {"", "place", "depth", "fixed", "labels", "touched", "lifted"}
    for forms in streams(td).values():
        for form in forms:
            assert form["contentType"] == "application/json"
            assert "response" not in form


OPPOSITES = {
    "observeproperty": "unobserveproperty",
    "observeallproperties": "unobserveallproperties",
    "subscribeevent": "unsubscribeevent",
    "subscribeallevents": "unsubscribeallevents",
}


def test_a_stream_has_a_form_with_both_operations_and_one_with_a_text_p_7_2(td):
    for forms in streams(td).values():
        for both, alone in zip(forms[::2], forms[1::2], strict=True):
            assert both["op"] == [alone["op"], OPPOSITES[alone["op"]]]
            assert both["href"] == alone["href"]


def test_forms_are_in_the_order_that_real_clients_need(td):
    forms = td["properties"]["depth"]["forms"]
    assert [(form["op"], form.get("subprotocol")) for form in forms] == [
        ("readproperty", None),
        ("writeproperty", None),
        (["observeproperty", "unobserveproperty"], "longpoll"),
        (["observeproperty", "unobserveproperty"], "sse"),
        ("observeproperty", "sse"),
        (
            ["readproperty", "writeproperty", "observeproperty", "unobserveproperty"],
            "webthingprotocol",
        ),
    ]


def test_only_a_synchronous_action_has_neither_query_nor_cancel_p_6_2_2_2(td):
    look, move = td["actions"]["look"], td["actions"]["move"]
    operations = [
        {
            op
            for form in action["forms"]
            for op in ([form["op"]] if isinstance(form["op"], str) else form["op"])
        }
        for action in (look, move)
    ]
    assert operations == [{"invokeaction"}, {"invokeaction", "queryaction", "cancelaction"}]
    assert "uriVariables" not in look
    assert set(move["uriVariables"]) == {"actionID"}


def test_every_form_says_how_errors_look_t_5_3_4_2_2(td):
    for _, forms in all_forms(td):
        for form in over_http(forms):
            assert {
                "contentType": "application/problem+json",
                "schema": "problem",
            } in form["additionalResponses"]


def test_the_answer_of_an_asynchronous_action_is_described_t_5_3_4_2_2(td):
    def described(action):
        return {
            form["op"]
            for form in over_http(td["actions"][action]["forms"])
            for answer in form["additionalResponses"]
            if answer["schema"] == "actionStatus"
            and answer["success"]
            and answer["contentType"] == "application/json"
        }

    assert described("move") == {"invokeaction", "queryaction"}
    assert described("look") == set()


def test_schema_definitions_are_flat_and_no_more_than_used_t_5_3_1_1(td):
    assert set(td["schemaDefinitions"]) == {"problem", "actionStatus"}
    for schema in td["schemaDefinitions"].values():
        assert set(schema) == {"type", "required", "description"}


def test_what_is_defined_is_what_is_sent_t_5_3_1_1(server, td):
    with server.test_client() as client:
        problem = client.put("/api/probe/depth", json="deep").json()
        status = client.post("/api/probe/move", json={}).json()
    assert set(td["schemaDefinitions"]["problem"]["required"]) <= problem.keys()
    assert set(td["schemaDefinitions"]["actionStatus"]["required"]) <= status.keys()


def test_links_lead_to_the_directory_the_documentation_and_the_page_p_5_5(server, td):
    links = {link["rel"]: link for link in td["links"]}
    assert {rel: link["type"] for rel, link in links.items()} == {
        "collection": "application/td+json",
        "service-doc": "text/html",
        "alternate": "text/html",
    }
    assert links["alternate"]["href"].endswith("/api/ui/#/thing/probe")
    with server.test_client() as client:
        for link in links.values():
            assert client.get(link["href"]).headers["content-type"].startswith(link["type"])


def test_without_the_web_page_no_link_leads_to_it(tmp_path):
    server = lt.ThingServer.from_things({"probe": Probe}, settings_folder=tmp_path, ui=False)
    with server.test_client() as client:
        assert "alternate" not in [link["rel"] for link in client.get("/probe/").json()["links"]]


def test_units_are_stated_everywhere_and_belong_to_the_numbers_p_5_1(td):
    place = td["properties"]["place"]
    assert "unit" not in place
    assert place["properties"]["x"]["unit"] == "om:micrometre"
    assert place["properties"]["y"]["unit"] == "om:metre"
    assert td["events"]["touched"]["data"]["unit"] == "om:newton"
    assert td["properties"]["depth"]["unit"] == "mm"  # as declared


def test_prefixes_and_language_are_in_the_context_t_5_3_1_1(td):
    _, context = td["@context"]
    assert context["om"].endswith("/om-2/")
    assert context["saref"] == "https://saref.etsi.org/core/"
    assert context["@language"] == "de-CH"
    assert td["@type"] == ["Thing", "saref:Sensor", "https://lab.example/types#Probe"]


def test_a_title_is_a_name_and_a_description_tells_more_t_5_3_2_1(td):
    assert td["title"] == "Probe"
    assert td["description"] == "Probe that is moved by hand.\n\nIt has one axis."
    depth, place = td["properties"]["depth"], td["properties"]["place"]
    assert (depth["title"], depth["description"]) == ("Depth.", "Below the surface.")
    assert (place["title"], place["description"]) == ("Where the probe is.", "Where the probe is.")


def test_parameters_and_output_have_their_own_texts_t_5_3_2_1(td):
    move = td["actions"]["move"]
    assert move["description"] == "It does not stop on the way."
    assert move["input"]["properties"]["to"]["description"] == "the target"
    assert move["output"]["description"] == "Where it is now."


def test_the_version_is_a_semantic_one_t_5_3_1_6(td):
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[0-9a-z.-]+)?\+[0-9a-z.]+", td["version"]["instance"])


def test_who_looks_after_the_thing_is_stated_t_5_3_1_1(td):
    assert td["support"] == "mailto:anna@lab.example"


def test_safe_and_idempotent_are_stated_t_5_3_1_4(td):
    assert [(each["safe"], each["idempotent"]) for each in td["actions"].values()] == [
        (False, True),
        (True, False),
    ]


def test_an_object_with_any_names_has_properties_t_5_3_2_6(td):
    assert td["properties"]["labels"]["properties"] == {}


def test_an_event_without_data_says_so_t_5_3_1_5(td):
    assert "data" not in td["events"]["lifted"]


def test_properties_and_actions_are_always_there(tmp_path):
    class Bare(lt.Thing):
        pass

    server = lt.ThingServer.from_things({"bare": Bare}, settings_folder=tmp_path / "settings")
    with server.test_client() as client:
        td = client.get("/bare/").json()
    validate(td)
    assert (td["properties"], td["actions"]) == ({}, {})
    assert "forms" not in td


@pytest.mark.parametrize("contact", ["anna", "anna at lab", "ftp://lab.example", "a@b@c"])
def test_a_contact_that_cannot_be_reached_is_refused(contact):
    with pytest.raises(lt.exceptions.ServerConfigurationError, match=r"support: .*e-mail"):
        lt.ThingServer({"support": contact})


@pytest.mark.parametrize("contact", ["https://lab.example/help", "mailto:anna@lab.example"])
def test_a_contact_may_be_a_url(contact):
    assert lt.ThingServer({"support": contact}).config.support == contact


def test_a_language_that_is_none_is_refused():
    with pytest.raises(lt.exceptions.ServerConfigurationError, match="language"):
        lt.ThingServer({"language": "in German"})


def test_the_demo_states_terms_of_a_vocabulary_as_units_p_5_1(tmp_path):
    from importlib import resources

    from labthings_fastapi.thing_description.value_schemas import units_in

    bench = resources.files("labthings_fastapi.demo").joinpath("bench.json").read_text("utf-8")
    server = lt.ThingServer(json.loads(bench) | {"settings_folder": tmp_path / "settings"})
    with server.test_client() as client:
        descriptions = client.get("/thing_descriptions/").json()
    units = set().union(*map(units_in, descriptions.values()))
    assert {"om:micrometre", "om:millisecond-Time", "om:percent"} <= units
    assert all(unit.startswith("om:") for unit in units)


def types_missing(schema):
    """Yield the schemas without a type in an input, which wotpy cannot consume."""
    if isinstance(schema, dict):
        if "oneOf" in schema and "type" not in schema:
            yield schema
        for part in schema.values():
            yield from types_missing(part)


def test_the_demo_can_be_consumed_by_clients_that_need_a_type(tmp_path):
    from importlib import resources

    bench = resources.files("labthings_fastapi.demo").joinpath("bench.json").read_text("utf-8")
    server = lt.ThingServer(json.loads(bench) | {"settings_folder": tmp_path / "settings"})
    with server.test_client() as client:
        descriptions = client.get("/thing_descriptions/").json()
    for td in descriptions.values():
        parts = [td["properties"], td["actions"], td.get("events", {})]
        assert [found for part in parts for found in types_missing(part)] == []
