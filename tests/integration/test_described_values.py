"""Values over HTTP and WebSocket: what is no JSON, what does not fit, and what messages say."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import logging
import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, computed_field

import labthings_fastapi as lt
from labthings_fastapi.exceptions import AffordanceDefinitionError, ServerConfigurationError
from labthings_fastapi.messages.topic import Topic

JSON = {"Content-Type": "application/json"}


class Range(enum.IntEnum):
    AUTO = 0
    TEN_VOLTS = 1


class Status(enum.Flag):
    READY = 1
    BUSY = 2


@dataclasses.dataclass
class Sample:
    label: str = "A1"
    slot: int = 1


class Box(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: float

    @computed_field
    @property
    def area(self) -> float:
        return self.width**2


class Meter(lt.Thing):
    power: float = lt.property(default=0.0, ge=0, le=100)
    shots: int = lt.property(default=np.int64(0), ge=np.int64(0))
    anything: Any = lt.property(default=None)
    range: Range = lt.property(default=Range.AUTO)
    status: Status = lt.property(default=Status.READY)
    code: str = lt.property(default="1", pattern=r"^\d+$")
    sample: Sample = lt.property(default_factory=Sample)
    box: Box = lt.property(default_factory=lambda: Box(width=2.0))
    hot: datetime.datetime = lt.event()

    given: Any = "x"

    @lt.property
    def reading(self) -> int:
        return self.given

    @lt.property
    def limited(self) -> Annotated[float, Field(le=10)]:
        return 12.5

    @lt.property
    def history(self) -> list[Sample]:
        return [Sample(slot="three")]

    @lt.action(synchronous=True)
    def move(self, x: Annotated[float, Field(le=10)], times: int = np.int64(1)) -> float:
        return np.float32(x * times)

    @lt.action(synchronous=True)
    def take(self) -> Sample:
        return Sample(slot="three")

    @lt.action
    def overdrive(self) -> None:
        self.power = 112.5


@pytest.fixture
def server():
    return lt.ThingServer.from_things({"meter": Meter}, journal="memory")


@pytest.fixture
def client(server):
    with server.test_client() as client:
        yield client


@pytest.fixture
def socket(client):
    with client.websocket_connect("/meter/ws", subprotocols=["webthingprotocol"]) as socket:
        yield socket


NOT_JSON = {
    "NaN": "NaN is no JSON",
    "[Infinity]": "Infinity is no JSON",
    "1e999": "1e999 is larger than any number",
    '{"a": 1, "a": 2}': "the member 'a' is there twice",
    '{"a": 1, "\\u0061": 2}': "the member 'a' is there twice",
    '{"a": {"b": 1, "b": 1}}': "the member 'b' is there twice",
}


@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_no_json_is_400_over_http(client, text):
    answers = [
        client.put("/meter/anything", content=text, headers=JSON),
        client.put("/meter/properties", content=f'{{"anything": {text}}}', headers=JSON),
        client.post("/meter/move", content=f'{{"x": {text}}}', headers=JSON),
    ]
    for answer in answers:
        assert answer.status_code == 400, answer.text
        assert NOT_JSON[text] in answer.json()["detail"]
    assert client.get("/meter/anything").json() is None


@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_no_json_is_a_400_response_over_a_socket(socket, text):
    head = '{"messageType": "request", "operation": "writeproperty", "name": "anything"'
    socket.send_text(f'{head}, "value": {text}}}')
    error = socket.receive_json()["error"]
    assert error["status"] == 400
    assert NOT_JSON[text] in error["detail"]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("shots", 1.0, 1),
        ("shots", 1e3, 1000),
        ("range", 1.0, 1),
        ("status", 3, 3),
        ("anything", "NaN", "NaN"),
        ("code", "12", "12"),
        ("box", {"width": 3, "area": 4.0}, {"width": 3.0, "area": 9.0}),
    ],
)
def test_json_schema_decides_what_a_number_is(client, name, value, kept):
    assert client.put(f"/meter/{name}", json=value).status_code == 204
    assert client.get(f"/meter/{name}").json() == kept


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("power", True),
        ("power", "25"),
        ("power", "NaN"),
        ("shots", True),
        ("shots", "3"),
        ("shots", 1.5),
        ("range", True),
        ("range", "1"),
        ("status", 4),
        ("code", "\u0663"),  # a digit, but not for JSON Schema
        ("code", 5),
        ("sample", {"label": 5}),
        ("box", {"width": 3, "area": "large"}),
        ("box", {"width": 3, "depth": 1}),
    ],
)
def test_what_is_not_described_is_422_and_changes_nothing(client, name, value):
    before = client.get(f"/meter/{name}").json()
    answer = client.put(f"/meter/{name}", json=value)
    assert answer.status_code == 422
    assert f"Property '{name}' of Thing 'meter': " in answer.json()["detail"]
    assert client.get(f"/meter/{name}").json() == before


def test_messages_name_thing_affordance_value_and_limit(client):
    refused = client.put("/meter/power", json=112.5).json()["detail"]
    for part in ("'power'", "'meter'", "112.5", "100"):
        assert part in refused
    refused = client.post("/meter/move", json={"x": 12.5}).json()["detail"]
    for part in ("'move'", "'meter'", "x: ", "12.5", "10"):
        assert part in refused


def test_a_limit_that_the_things_own_code_breaks_is_named(client, caplog):
    run = client.post("/meter/overdrive", headers={"Prefer": "wait=5"}).json()
    for part in ("'power'", "'meter'", "112.5", "100"):
        assert part in run["error"]["detail"]
    assert "pydantic.dev" not in json.dumps(run)
    assert "pydantic.dev" not in caplog.text


def test_a_reading_that_does_not_fit_is_a_failed_reading_that_says_what_came(client, caplog):
    for name, parts in {
        "reading": ("Error validating meter.reading", "'x'", "valid integer"),
        "limited": ("Error validating meter.limited", "12.5", "10"),
        "history": ("Error validating meter.history", "0.slot", "'three'"),
    }.items():
        caplog.clear()
        answer = client.get(f"/meter/{name}")
        assert answer.status_code == 500
        for part in parts:
            assert part in answer.json()["detail"]
        (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert parts[0] in record.getMessage()


def test_python_code_reads_the_drivers_own_value(server, client):
    assert server.things["meter"].reading == "x"
    server.things["meter"].given = np.int64(7)
    assert isinstance(server.things["meter"].reading, np.int64)
    assert client.get("/meter/reading").json() == 7


def test_a_value_that_was_broken_in_place_is_a_failed_reading(server, client):
    server.things["meter"].sample.slot = "three"
    answer = client.get("/meter/sample")
    assert answer.status_code == 500
    assert "slot" in answer.json()["detail"]


def test_an_output_with_a_part_that_does_not_fit_is_an_error(client):
    answer = client.post("/meter/take")
    assert answer.status_code == 500
    assert "slot" in answer.json()["detail"]


def test_numpy_numbers_are_numbers_wherever_they_stand(client):
    assert client.post("/meter/move", json={"x": 2}).json() == 2.0
    described = client.get("/meter/").json()
    assert described["properties"]["shots"]["minimum"] == 0
    assert described["actions"]["move"]["input"]["properties"]["times"]["default"] == 1


class Size(enum.Enum):
    SMALL = (640, 480)
    LARGE = (1920, 1080)


class Rate(enum.Enum):
    SLOW = datetime.timedelta(seconds=1)
    FAST = datetime.timedelta(milliseconds=1)


class Camera(lt.Thing):
    size: Size = lt.property(default=Size.SMALL)
    sizes: dict[str, list[Size | None]] = lt.property(default_factory=dict)
    rate: Rate = lt.property(default=Rate.SLOW)

    @lt.action(synchronous=True)
    def resize(self, size: Size, others: list[Size] | None = None) -> Size:
        assert isinstance(size, Size)
        assert all(isinstance(each, Size) for each in others or ())
        self.size = size
        return size


def test_a_member_of_an_enum_of_tuples_is_read_as_it_is_written():
    running = lt.ThingServer.from_things({"camera": Camera}, journal="memory")
    with running.test_client() as client:
        assert client.get("/camera/size").json() == [640, 480]
        assert client.put("/camera/size", json=[1920, 1080]).status_code == 204
        assert running.things["camera"].size is Size.LARGE
        assert client.put("/camera/size", json=[1920, 480]).status_code == 422
        assert client.put("/camera/sizes", json={"a": [None, [640, 480]]}).status_code == 204
        assert running.things["camera"].sizes == {"a": [None, Size.SMALL]}
        assert client.put("/camera/rate", json="PT0.001S").status_code == 204
        assert running.things["camera"].rate is Rate.FAST
        given = {"size": [640, 480], "others": [[640, 480], [1920, 1080]]}
        assert client.post("/camera/resize", json=given).json() == [640, 480]
        given = {"size": [640, 480], "others": [[640, 1080]]}
        assert client.post("/camera/resize", json=given).status_code == 422


Millimetres = Annotated[float, AfterValidator(lambda micrometres: micrometres / 1000)]


class Slide(lt.Thing):
    depth: Millimetres = lt.property(default=0.0)
    depths: list[Millimetres] = lt.property(default_factory=list)


def test_a_validator_that_converts_units_does_so_once():
    running = lt.ThingServer.from_things({"slide": Slide}, journal="memory")
    with running.test_client() as client:
        slide = running.things["slide"]
        with slide._thing_server_interface.broker.subscribe(Topic()) as published:
            assert client.put("/slide/depth", json=2000).status_code == 204
            assert [message.payload for message in published.take()] == [b"2.0"]
        assert client.get("/slide/depth").json() == slide.depth == 2.0
        client.put("/slide/depths", json=[1000])
        slide.depths.append("deep")
        assert client.get("/slide/depths").status_code == 500


@pytest.mark.parametrize("hint", [Callable[[int], int], type[int], list[Callable[[], None]] | None])
def test_a_function_or_class_as_a_value_stops_the_making_of_a_server(hint):
    class Odd(lt.Thing):
        value: hint = lt.property(default=None)

    with pytest.raises(ServerConfigurationError, match=r"Odd\.value.*cannot be sent"):
        lt.ThingServer.from_things({"odd": Odd}, journal="memory")


def test_the_names_of_an_enumeration_are_described(client):
    properties = client.get("/meter/").json()["properties"]
    assert properties["range"]["enum"] == [0, 1]
    assert properties["range"]["oneOf"] == [
        {"const": 0, "title": "AUTO"},
        {"const": 1, "title": "TEN_VOLTS"},
    ]
    assert "1 READY, 2 BUSY" in properties["status"]["description"]


def test_a_naive_time_is_sent_with_the_offset_of_the_servers_zone(server, client, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    try:
        server.things["meter"].anything = datetime.datetime(2026, 7, 1, 12)  # noqa: DTZ001
        assert client.get("/meter/anything").json() == "2026-07-01T12:00:00+01:00"
        server.things["meter"].hot.emit(datetime.datetime(2026, 1, 1, 12))  # noqa: DTZ001
        (message,) = (
            server.things["meter"]
            ._thing_server_interface.broker.subscribe(
                _events(),
                after=f"{server.things['meter']._thing_server_interface.broker.boot_id}-0",
            )
            .take()
        )
        assert json.loads(message.payload) == "2026-01-01T12:00:00Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def _events() -> Any:
    from labthings_fastapi.messages.topic import Topic

    return Topic(kinds=frozenset({"event"}))


@pytest.mark.parametrize("pattern", [r"(?i)a", r"a(?=b)", r"\Aa\Z", r"\p{L}", r"[[:alpha:]]"])
def test_a_pattern_that_clients_would_read_differently_is_refused_with_the_class(pattern):
    with pytest.raises(AffordanceDefinitionError, match=r"Wrong\.code"):
        type(
            "Wrong",
            (lt.Thing,),
            {"__annotations__": {"code": str}, "code": lt.property(default="", pattern=pattern)},
        )
