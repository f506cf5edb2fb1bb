"""What is described is what is accepted is what is served, over HTTP and over a WebSocket.

Types are generated, served by a real server as properties and as inputs and outputs of actions, and
judged by jsonschema with the data schemas of the Thing Description.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import zoneinfo
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_origin

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, FormatChecker
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, computed_field
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

import labthings_fastapi as lt

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NAIVE = st.datetimes(*(datetime.datetime(year, 1, 1) for year in (1950, 2090)))  # noqa: DTZ001
AWARE = NAIVE.map(lambda time: time.replace(tzinfo=datetime.UTC))


class Range(enum.IntEnum):
    AUTO = 0
    TEN_VOLTS = 10


class Colour(enum.Enum):
    RED = "red"
    TWO = 2


class Status(enum.Flag):
    READY = 1
    BUSY = 2
    HOT = 4


class Lines(enum.IntFlag):
    A = 1
    B = 8


@dataclasses.dataclass
class Sample:
    label: str = "A1"
    slot: int = 1


@dataclasses.dataclass(kw_only=True)
class Named:
    note: str = ""


@dataclasses.dataclass
class Deep(Named):  # a member without a default after one with a default
    depth: float
    when: datetime.datetime = datetime.datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001 - as drivers do
    raw: bytes = b"\xff"


class Exposure(BaseModel):
    exposure_time: float = Field(default=1.0, alias="exposureTime")
    gain: Annotated[int, Field(ge=0, le=4)] = 0


class Split(BaseModel):
    shutter: int = Field(default=1, validation_alias="shutterIn", serialization_alias="shutterOut")
    iris: int = Field(default=2, validation_alias=AliasChoices("iris", "aperture"))


class Frame(BaseModel):
    payload: bytes = b""
    taken: datetime.datetime | None = None
    exposure: Exposure = Exposure()


class Box(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: float
    height: float = 1.0

    @computed_field
    @property
    def area(self) -> float:
        return self.width * self.height


class Tree(BaseModel):
    label: str = ""
    branches: list[Tree] = []
    by_name: dict[str, Tree] | None = None


TREES = st.recursive(
    st.builds(Tree, label=st.text(max_size=2)),
    lambda inner: st.builds(
        Tree,
        label=st.text(max_size=2),
        branches=st.lists(inner, max_size=2),
        by_name=st.none() | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    ),
    max_leaves=5,
)


class Size(enum.Enum):
    SMALL = (640, 480)
    LARGE = (1920, 1080)


class Point(NamedTuple):
    x: float
    y: float


class Place(TypedDict):
    x: int
    label: str


def dataclass_of(kind: Any, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **members)


# A type, and values that code of a Thing has for it: also those that pydantic does not look into.
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers() | st.integers(-9, 9).map(np.int64)),
    (float, st.floats() | FINITE.map(np.float64) | st.just(np.float32(1.5))),
    (bool, st.booleans() | st.booleans().map(np.bool_)),
    (str, st.text(max_size=4)),
    (None, st.none()),
    (bytes, st.binary(max_size=5)),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (complex, st.complex_numbers(allow_nan=False, allow_infinity=False)),
    (datetime.datetime, NAIVE | AWARE),
    (datetime.date, st.dates()),
    (datetime.time, st.times()),
    (
        datetime.timedelta,
        st.timedeltas(datetime.timedelta(days=-9999), datetime.timedelta(days=9999)),
    ),
    (Range, st.sampled_from(Range)),
    (Colour, st.sampled_from(Colour)),
    (Status, st.integers(0, 7).map(Status)),
    (Lines, st.sampled_from([0, 1, 8, 9]).map(Lines)),
    (Literal["auto", 1, True], st.sampled_from(["auto", 1, True])),
    (Literal[Range.AUTO], st.just(Range.AUTO)),
    (Annotated[int, Field(ge=-2, lt=3)], st.integers(-2, 2)),
    (Annotated[int, Field(multiple_of=3)], st.integers(-9, 9).map(lambda n: 3 * n)),
    (Annotated[float, Field(ge=0)], st.floats(0, allow_nan=False)),
    (Annotated[float, Field(gt=-1, le=1)], st.floats(-1, 1, exclude_min=True)),
    (Annotated[float, Field(allow_inf_nan=False)], FINITE),
    (Annotated[str, Field(pattern=r"^\d+$", max_length=3)], st.sampled_from(["0", "12", "123"])),
    (Annotated[bytes, Field(min_length=1, max_length=4)], st.binary(min_size=1, max_size=4)),
    (Any, st.floats() | AWARE | NAIVE | st.binary(max_size=3) | st.just(np.ones((2, 2)))),
    (list[float], st.lists(FINITE, max_size=3).map(np.array)),
    (list[list[int]], st.just(np.ones((2, 3), dtype=int))),
    (Sample, dataclass_of(Sample, label=st.text(max_size=3), slot=st.integers(-9, 9))),
    (
        Deep,
        dataclass_of(Deep, note=st.just("n"), depth=st.floats(), when=NAIVE, raw=st.binary()),
    ),
    (Exposure, st.builds(Exposure, exposureTime=st.floats(), gain=st.integers(0, 4))),
    (Frame, st.builds(Frame, payload=st.binary(max_size=4), taken=NAIVE | st.none())),
    (Split, st.builds(Split, shutterIn=st.integers(0, 9), iris=st.integers(0, 9))),
    (Box, st.builds(Box, width=FINITE, height=FINITE)),
    (Point, st.builds(Point, FINITE, FINITE)),
    (Place, st.fixed_dictionaries({"x": st.integers(), "label": st.text(max_size=2)})),
    (Tree, TREES),
    (Size, st.sampled_from(Size)),
    (zoneinfo.ZoneInfo, st.sampled_from(["UTC", "Europe/Berlin"]).map(zoneinfo.ZoneInfo)),
    (dict[float, int], st.dictionaries(FINITE, st.integers(), max_size=2)),
    (dict[bool, int], st.dictionaries(st.booleans(), st.integers(), max_size=2)),
    (
        dict[Annotated[int, Field(ge=0)], int],
        st.dictionaries(st.integers(0, 99), st.integers(), max_size=2),
    ),
    (
        dict[Annotated[int, Field(gt=0, lt=4)], int],
        st.dictionaries(st.integers(1, 3), st.integers(), max_size=2),
    ),
    (
        Annotated[datetime.timedelta, Field(ge=datetime.timedelta(0))],
        st.timedeltas(datetime.timedelta(0), datetime.timedelta(days=9)),
    ),
    (
        Annotated[decimal.Decimal, Field(ge=0)],
        st.decimals(0, allow_nan=False, allow_infinity=False),
    ),
]


def unions(members: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    hint = members[0][0]
    for other, _ in members[1:]:
        hint = hint | other if hint is not other else hint
    return hint, st.one_of(*(values for _, values in members))


UNITABLE = [each for each in TYPES if each[0] not in (None, Any)]
NESTED = st.one_of(
    st.sampled_from(TYPES),
    st.sampled_from(UNITABLE).map(lambda of: (of[0] | None, of[1] | st.none())),
    st.sampled_from(UNITABLE).map(lambda of: (list[of[0]], st.lists(of[1], max_size=2))),
    st.sampled_from(UNITABLE).map(
        lambda of: (dict[str, of[0]], st.dictionaries(st.text(max_size=2), of[1], max_size=2))
    ),
    st.sampled_from([of for of in UNITABLE if of[0] in (int, str, Range, datetime.date)]).map(
        lambda of: (dict[of[0], float], st.dictionaries(of[1], FINITE, max_size=2))
    ),
    st.sampled_from([of for of in UNITABLE if of[0] in (int, str, Colour, bool)]).map(
        lambda of: (set[of[0]], st.sets(of[1], max_size=3))
    ),
    st.lists(st.sampled_from(UNITABLE), min_size=1, max_size=3).map(
        lambda them: (tuple[tuple(t for t, _ in them)], st.tuples(*(v for _, v in them)))
    ),
    st.lists(
        st.sampled_from(UNITABLE), min_size=2, max_size=3, unique_by=lambda of: repr(of[0])
    ).map(unions),
)

# What clients send: near the described values, and far from them.
NUMBERS = st.sampled_from([0, 1, -1, 2, 3, 10, 1.0, 2.5, -0.0, 1e30, 10**20, True, False])
TEXTS = st.sampled_from(
    [
        "",
        " 3",
        "12",
        "1234",
        "red",
        "auto",
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "true",
        "null",
        "_wE=",
        "/w==",
        "_w",
        "_",
        "P1D",
        "-PT0.5S",
        "PT",
        "1 day",
        "1.50",
        "1E+5",
        "1_0",
        "2026-10-25",
        "2026-02-30",
        "2026-10-25T02:30:00",
        "2026-10-25T02:30:00Z",
        "2026-10-25T02:30:00.5+02:00",
        "2026-10-25 02:30:00Z",
        "1700000000",
        "12:30:00",
        "1+2j",
        "UTC",
        "-0",
    ]
)
NAMES = st.sampled_from(
    [
        "label",
        "slot",
        "depth",
        "when",
        "raw",
        "note",
        "exposureTime",
        "exposure_time",
        "gain",
        "payload",
        "taken",
        "exposure",
        "width",
        "x",
        "height",
        "area",
        "y",
        "1",
        "branches",
        "by_name",
        "1.5",
        "-1",
        "true",
        "shutter",
        "shutterIn",
        "shutterOut",
        "iris",
        "aperture",
    ]
)
JSON = st.recursive(
    st.none() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=6,
)
FORMATS = FormatChecker()
PROPERTIES = ("value", "reading")


def changed(value: Any, data: st.DataObject) -> Any:
    """Return a described value with perhaps one part replaced."""
    if isinstance(value, list) and value and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(value) - 1))
        return [changed(item, data) if at == place else item for at, item in enumerate(value)]
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        place = data.draw(st.sampled_from(sorted(value)))
        return {key: changed(item, data) if key == place else item for key, item in value.items()}
    return data.draw(st.one_of(st.just(value), JSON))


def thing_of(hint: Any) -> type[lt.Thing]:
    class Subject(lt.Thing):
        kept: Any = None

        @lt.property
        def value(self) -> Any:
            return self.kept

        @value.setter
        def value(self, new: Any) -> None:
            self.kept = new

        @lt.property
        def reading(self) -> Any:
            return self.kept

        @lt.action(synchronous=True)
        def use(self, it: Any) -> Any:
            self.kept = it
            return it

    for function in (Subject.value.getter, Subject.reading.getter, Subject.use.func):
        function.__annotations__["return"] = hint
    Subject.use.func.__annotations__["it"] = hint
    return Subject


def validator(schema: dict[str, Any]) -> Draft7Validator:
    return Draft7Validator(schema, format_checker=FORMATS)


def no_value_of_ours(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def strictly(text: str) -> Any:
    return json.loads(text, parse_constant=no_value_of_ours)


class Sockets:
    """A socket to the Thing, for one request and its answer at a time."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def ask(self, operation: str, **members: Any) -> dict[str, Any]:
        request = {"messageType": "request", "operation": operation, "messageID": "1"}
        self._socket.send_text(json.dumps(request | members))
        answer: dict[str, Any] = strictly(self._socket.receive_text())
        return answer


class Judge:
    """One Thing on a server, whose answers are held against its description."""

    def __init__(self, thing: lt.Thing, client: Any, sockets: Sockets) -> None:
        self.thing, self.client, self.sockets = thing, client, sockets
        described = client.get("/t/").json()
        self.readings = {name: validator(described["properties"][name]) for name in PROPERTIES}
        self.property = self.readings["value"]
        self.input = validator(described["actions"]["use"]["input"])
        self.output = validator(described["actions"]["use"].get("output", {}))

    def read(self, kept: Any) -> Any:
        """What the code of the Thing has is served as described; return it as JSON."""
        self.thing.kept = kept
        for name, schema in self.readings.items():
            answer = self.client.get(f"/t/{name}")
            assert answer.status_code == 200, answer.text
            schema.validate(strictly(answer.text))
            schema.validate(self.sockets.ask("readproperty", name=name)["value"])
        return self.client.get("/t/value").json()

    def write_back(self, served: Any, *, unchanged: bool) -> None:
        """What was read can be written, and changes nothing."""
        assert put(self.client, served).status_code == 204, served
        if unchanged:
            assert equal(self.client.get("/t/value").json(), served)

    def write(self, sent: Any) -> None:
        """What a client sends is accepted exactly if it is described."""
        fits = self.property.is_valid(sent)
        answer = put(self.client, sent)
        assert answer.status_code == (204 if fits else 422), (sent, answer.text)
        written = self.sockets.ask("writeproperty", name="value", value=sent)
        assert ("error" not in written) is fits, (sent, written)
        if fits:
            self.property.validate(strictly(self.client.get("/t/value").text))

    def invoke(self, sent: Any) -> None:
        """The same for an action, whose output is as described."""
        fits = self.input.is_valid({"it": sent})
        answer = self.client.post("/t/use", json={"it": sent})
        assert answer.status_code in ((200, 204) if fits else (422,)), (sent, answer.text)
        if answer.status_code == 200:
            self.output.validate(strictly(answer.text))
        invoked = self.sockets.ask("invokeaction", name="use", input={"it": sent})
        assert ("error" not in invoked) is fits, (sent, invoked)


@given(NESTED, st.data())
def test_what_is_described_is_what_is_accepted_is_what_is_served(typed, data):
    hint, values = typed
    server = lt.ThingServer.from_things({"t": thing_of(hint)}, journal="memory")
    with (
        server.test_client() as client,
        client.websocket_connect("/t/ws", subprotocols=["webthingprotocol"]) as socket,
    ):
        server.things["t"].validate_thing_description()
        judge = Judge(server.things["t"], client, Sockets(socket))
        for _ in range(data.draw(st.integers(1, 3), label="how many values")):
            served = judge.read(data.draw(values, label="kept"))
            # Of `bool | Range`, pydantic makes a boolean of the range 0.
            judge.write_back(served, unchanged=get_origin(hint) not in (Union, UnionType))
            for _ in range(3):
                sent = changed(served, data)
                judge.write(sent)
                judge.invoke(sent)


def put(client: Any, value: Any) -> Any:
    headers = {"Content-Type": "application/json"}
    return client.put("/t/value", content=json.dumps(value), headers=headers)


def equal(one: Any, two: Any) -> bool:
    """Return whether two JSON values are equal; unlike in Python, 0 is not False."""
    return Draft7Validator({"const": one}).is_valid(two)
