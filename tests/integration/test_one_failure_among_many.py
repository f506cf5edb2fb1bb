"""A failure of one Thing, or of one property, never spoils a listing of all."""

from __future__ import annotations

import uuid

import pytest

import labthings_fastapi as lt
from labthings_fastapi.example_things import ThingThatCantStart


class Good(lt.Thing):
    speed: float = lt.property(default=1.0)

    @lt.endpoint("get")
    def raw(self) -> int:
        return 1


class Moody:
    """A type that can be described when the server is made, and not any more afterwards."""

    fails = False

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return handler(int)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        if cls.fails:
            raise ZeroDivisionError("not in the mood")
        return handler(schema)


class Strange(lt.Thing):
    mood: Moody = lt.property(default=1)


class Fickle(lt.Thing):
    """Cannot be described, which nobody can know before."""

    fails = True

    @property
    def title(self):
        if type(self).fails:
            raise SystemExit("no title today")
        return "Fickle"

    @property
    def thing_state(self):
        raise OSError("no state today")


class Cryostat(lt.Thing):
    setpoint: float = lt.property(default=4.2)
    unset: int = lt.property(default_factory=lambda: 7)

    @lt.property
    def heater(self) -> float:
        return 0.25

    @lt.property
    def temperature(self) -> float:
        raise OSError("no answer from the bridge")

    @lt.property
    def pressure(self) -> float:
        raise SystemExit("the gauge is off")

    @lt.property
    def flow(self) -> float:
        return "fast"  # type: ignore[return-value]


@pytest.fixture
def client():
    server = lt.ThingServer.from_things(
        {"bad": Fickle, "good": Good, "broken": ThingThatCantStart, "cold": Cryostat},
        tolerant=True,
        journal="memory",
    )
    with server.test_client(raise_server_exceptions=False) as client:
        client.server = server
        yield client


def test_lists_of_descriptions_leave_out_what_cannot_be_described_and_say_so(client, caplog):
    assert set(client.get("/thing_descriptions/").json()) == {"good", "broken", "cold"}
    titles = {each["title"] for each in client.get("/directory/things").json()}
    assert titles >= {"Good", "Cryostat"}
    pages = [client.get(f"/directory/things?limit=2&offset={at}").json() for at in (0, 2)]
    assert sum(map(len, pages)) == 3  # in the order of ids, which differ each time
    records = [each for each in caplog.records if each.name == "labthings_fastapi.things.bad"]
    assert records
    assert all("no title today" in each.getMessage() for each in records)


def test_a_thing_that_can_be_described_again_is_listed_again(client, monkeypatch):
    monkeypatch.setattr(Fickle, "fails", False)
    assert "bad" in client.get("/thing_descriptions/").json()
    assert client.get("/bad/").json()["title"] == "Fickle"


def test_other_lists_have_every_thing(client):
    everything = {"bad", "good", "broken", "cold"}
    assert set(client.get("/things/").json()) == everything
    assert set(client.get("/health").json()["things"]) == everything
    assert client.get("/docs").status_code == 200
    assert "/bad/" in client.get("/openapi.json").json()["paths"]


def test_the_openapi_document_has_the_other_things_and_endpoints(monkeypatch, caplog):
    class Wrong(lt.Thing):
        @lt.endpoint("get", response_model=Moody)
        def odd(self): ...

        @lt.endpoint("get")
        def fine(self): ...

    things = {"strange": Strange, "wrong": Wrong, "good": Good}
    server = lt.ThingServer.from_things(things, journal="memory")
    monkeypatch.setattr(Moody, "fails", True)
    with server.test_client() as client:
        paths = client.get("/openapi.json").json()["paths"]
        assert client.get("/docs").status_code == 200
    assert {"/good/speed", "/good/raw", "/wrong/fine", "/wrong/"} <= paths.keys()
    assert not {"/wrong/odd", "/strange/mood"} & paths.keys()
    assert "Thing 'strange' is missing in the OpenAPI document: ZeroDivision" in caplog.text
    assert "The endpoint at '/wrong/odd' is missing in the OpenAPI document" in caplog.text


def test_states_of_all_things_have_an_empty_one_where_the_code_fails(client, caplog):
    states = client.server.thing_states()
    assert set(states) == {"bad", "good", "broken", "cold"}
    assert states["bad"] == {}
    assert "no state today" in caplog.text


def test_all_properties_are_read_although_some_fail(client):
    answer = client.get("/cold/properties")
    problem = answer.json()
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["values"] == {"setpoint": 4.2, "unset": 7, "heater": 0.25}
    errors = {each["loc"][0]: each["msg"] for each in problem["errors"]}
    assert list(errors) == ["temperature", "pressure", "flow"]
    assert "no answer from the bridge" in errors["temperature"]
    assert all(text in problem["detail"] for text in errors.values())


def test_one_failure_is_told_as_when_the_property_is_read_alone():
    class One(lt.Thing):
        good: int = lt.property(default=1)

        @lt.property
        def bad(self) -> int:
            raise lt.exceptions.InvocationError("switched off")

    server = lt.ThingServer.from_things({"one": One}, journal="memory")
    with server.test_client() as client:
        alone, together = client.get("/one/bad").json(), client.get("/one/properties").json()
    assert together["values"] == {"good": 1}
    for member in ("type", "title", "status", "detail"):
        assert together[member] == alone[member]


def ask(socket, **members):
    socket.send_json(
        {"messageType": "request", "thingID": "cold", "messageID": str(uuid.uuid4()), **members}
    )
    return socket.receive_json()


def test_on_a_socket_the_response_has_the_error_and_the_other_values(client):
    with client.websocket_connect("/cold/ws", subprotocols=["webthingprotocol"]) as socket:
        all_of_them = ask(socket, operation="readallproperties")
        some = ask(socket, operation="readmultipleproperties", names=["heater", "pressure"])
        none = ask(socket, operation="readmultipleproperties", names=["pressure"])
    assert all_of_them["values"] == {"setpoint": 4.2, "unset": 7, "heater": 0.25}
    assert all_of_them["error"]["status"] == 500
    assert some["values"] == {"heater": 0.25}
    assert "the gauge is off" in some["error"]["detail"]
    assert "values" not in some["error"]
    assert none["values"] == {}


def test_a_default_that_breaks_its_own_type_hides_no_other_value():
    with pytest.warns(UserWarning, match="the default None breaks"):

        class Unset(lt.Thing):
            count: int = lt.property(default=None)
            level: int = lt.property(default=3)

    server = lt.ThingServer.from_things({"u": Unset}, journal="memory")
    with server.test_client() as client:
        assert client.get("/u/").json()["properties"].keys() == {"count", "level"}
        failed = client.get("/u/count")
        assert failed.status_code == 500
        assert failed.json()["detail"].startswith("Error validating u.count")
        assert client.get("/u/properties").json()["values"] == {"level": 3}
        assert client.post("/u/count/reset").status_code == 404
        assert client.put("/u/count", json=5).status_code == 204
        assert client.get("/u/properties").json() == {"count": 5, "level": 3}
