from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import threading
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    computed_field,
    field_serializer,
)

from labthings_fastapi.exceptions import AffordanceDefinitionError, UnserialisableValueError
from labthings_fastapi.schemas.values import ValueSchema


class Colour(enum.Enum):
    RED = "red"
    GREEN = 2


class Guessing(enum.Enum):
    ONE = 1

    @classmethod
    def _missing_(cls, value: object) -> Guessing:
        return cls.ONE


class Reading(BaseModel):
    value: float
    extra: Any = None


class Label(BaseModel):
    text: str
    number: int = 0


@dataclasses.dataclass
class Pixel:
    value: float


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    n: int = 0


class Doubled(BaseModel):
    n: int = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ratio(self) -> float:
        return math.inf


class Written(BaseModel):
    n: int = 0

    @field_serializer("n")
    def _write(self, value: int, info: Any) -> Any:
        return (info.context or {}).get("n", math.nan)


class Angry(BaseModel):
    n: int = 0

    @field_serializer("n")
    def _write(self, value: int) -> int:
        raise KeyError("no")


class Foreign:
    pass


def schema(hint: Any, **constraints: Any) -> ValueSchema[Any]:
    return ValueSchema(hint, constraints, where="Stage.speed")


PLAIN_AND_IMMUTABLE = [
    int,
    float,
    bool,
    str,
    None,
    Literal["a", 1, None],
    Literal[Colour.RED],
    Colour,
    tuple[float, float],
    tuple[int, ...],
    frozenset[int],
    int | None,
    int | str | None,
    Annotated[float, Field(gt=0)],
    NewType("Millimetres", float),
]
PLAIN = [list[float], set[int], dict[str, list[int]], list[int | None], tuple[list[int], int]]
NOT_PLAIN = [
    Any,
    Reading,
    Pixel,
    list[Reading],
    dict[str, Any],
    datetime.datetime,
    Guessing,
    Annotated[int, AfterValidator(lambda value: value)],
]


@pytest.mark.parametrize("hint", PLAIN_AND_IMMUTABLE)
def test_plain_values_that_cannot_change(hint):
    assert schema(hint).is_plain
    assert schema(hint).immutable


@pytest.mark.parametrize("hint", PLAIN)
def test_plain_values_that_can_change(hint):
    assert schema(hint).is_plain
    assert not schema(hint).immutable


@pytest.mark.parametrize("hint", NOT_PLAIN)
def test_values_that_may_run_user_code_are_not_plain(hint):
    assert not schema(hint).is_plain
    assert not schema(hint).immutable


def test_values_are_converted_as_pydantic_does():
    assert schema(tuple[int, int]).validate([1, "2"]) == (1, 2)
    assert schema(tuple[int, int]).validate_json(b'[1, "2"]') == (1, 2)
    with pytest.raises(ValidationError):
        schema(int).validate("far")


def test_bytes_that_are_no_json_are_distinguished_from_wrong_values():
    with pytest.raises(ValidationError) as caught:
        schema(int).validate_json(b"{")
    assert [error["type"] for error in caught.value.errors()] == ["json_invalid"]


@pytest.mark.parametrize(
    ("hint", "constraints", "good", "bad"),
    [
        (float, {"gt": 0, "le": 5}, 5, 0),
        (float, {"allow_inf_nan": False}, 1.0, math.nan),
        (int, {"multiple_of": 3}, 6, 7),
        (int, {"allow_inf_nan": False}, 6, "x"),
        (str, {"min_length": 1, "max_length": 3, "pattern": "^a"}, "abc", "bcd"),
        (list[float], {"max_length": 1}, [1], [1, 2]),
        (float | None, {"gt": 0}, None, -1),
        (int | float, {"gt": 0}, 0.5, -1),
        (int | str, {"gt": 0, "min_length": 2}, "ab", "a"),
        (Annotated[float | None, Field(description="d")], {"gt": 0}, None, -1),
        (NewType("Millimetres", float), {"gt": 0}, 1, -1),
        (Decimal, {"gt": 0}, Decimal(1), Decimal(-1)),
    ],
)
def test_constraints_hold(hint, constraints, good, bad):
    checked = schema(hint, **constraints)
    assert checked.validate(good) == good
    with pytest.raises(ValidationError):
        checked.validate(bad)


def test_an_unknown_constraint_is_refused_at_once():
    with pytest.raises(AffordanceDefinitionError, match=r"Stage\.speed.*'maximum'.*'?le"):
        ValueSchema(float, {"maximum": 1}, where="Stage.speed")


@pytest.mark.parametrize(
    ("hint", "constraints"),
    [
        (str, {"gt": 0}),
        (bool, {"gt": 0}),
        (Any, {"gt": 0}),
        (float, {"min_length": 1}),
        (float, {"pattern": "a"}),
        (str, {"allow_inf_nan": False}),
        (list[float], {"gt": 0}),
        (Reading, {"gt": 0}),
        (Pixel, {"min_length": 1}),
        (Colour, {"gt": 0}),
        (Literal[1, 2], {"gt": 0}),
        (None, {"gt": 0}),
        (str | None, {"gt": 0}),
        (float, {"gt": "a"}),
        (int, {"multiple_of": 0}),
        (str, {"pattern": "("}),
    ],
)
def test_a_constraint_that_does_not_fit_is_refused(hint, constraints):
    with pytest.raises(AffordanceDefinitionError, match=r"^Stage\.speed: "):
        schema(hint, **constraints).compile()


@pytest.mark.parametrize("hint", [Foreign, "Nowhere", list[Foreign]])
def test_a_type_without_json_form_is_refused_in_one_line(hint):
    with pytest.raises(AffordanceDefinitionError, match=r"^Stage\.speed: ") as caught:
        schema(hint).validate(1)
    assert "\n" not in str(caught.value)
    assert "arbitrary_types_allowed" not in str(caught.value)


def test_nothing_is_compiled_before_first_use():
    assert repr(schema("Nowhere")) == "ValueSchema('Nowhere', where='Stage.speed')"


def test_several_threads_may_use_it_first_at_once():
    shared, results = schema(list[int]), []
    barrier = threading.Barrier(8)

    def use() -> None:
        barrier.wait()
        results.append((shared.validate(["1"]), shared.to_json([1]), shared.is_plain))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [([1], b"[1]", True)] * 8


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 3, b"3"),
        (str, 'µ"', '"µ\\""'.encode()),
        (None, None, b"null"),
        (Colour, Colour.RED, b'"red"'),
        (tuple[int, str], (1, "a"), b'[1,"a"]'),
        (dict[int, str], {1: "a"}, b'{"1":"a"}'),
        (bytes, b"\xff\xfb", b'"__s="'),
        (Any, {"raw": b"\xff\xfb"}, b'{"raw":"__s="}'),
        (Label, Label(text="a"), b'{"text":"a","number":0}'),
        (datetime.date, datetime.date(2024, 1, 2), b'"2024-01-02"'),
        (Any, 1.5, b"1.5"),
    ],
)
def test_values_are_written_as_compact_json(hint, value, expected):
    assert schema(hint).to_json(value) == expected


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (float, math.nan, "NaN"),
        (float, -math.inf, "-Infinity"),
        (list[float], [math.inf], ["Infinity"]),
        (float | None, math.inf, "Infinity"),
        (Any, math.nan, "NaN"),
        (Any, {"a": [math.nan]}, {"a": ["NaN"]}),
        (Any, [Reading(value=math.nan)], [{"value": "NaN", "extra": None}]),
        (Any, Reading(value=1, extra=math.nan), {"value": 1.0, "extra": "NaN"}),
        (
            Reading,
            Reading(value=math.inf, extra=[math.inf]),
            {"value": "Infinity", "extra": ["Infinity"]},
        ),
        (
            Reading,
            Reading(value=math.nan, extra={"a": math.nan}),
            {"value": "NaN", "extra": {"a": "NaN"}},
        ),
        (
            list[Reading],
            [Reading(value=math.nan, extra=math.nan)],
            [{"value": "NaN", "extra": "NaN"}],
        ),
        (Pixel, Pixel(math.nan), {"value": "NaN"}),
        (Loose, Loose.model_validate({"a": math.nan}), {"n": 0, "a": "NaN"}),
        (Doubled, Doubled(), {"n": 0, "ratio": "Infinity"}),
        (Written, Written(), {"n": "NaN"}),
        (Label, Label.model_construct(text=math.nan), {"text": "NaN", "number": 0}),
    ],
)
def test_nan_and_the_infinities_are_words_wherever_they_sit(hint, value, expected):
    assert json.loads(schema(hint).to_json(value)) == expected


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1.5, 1e300, -0.0])
def test_floats_come_back_as_they_were(value):
    speed = schema(float)
    assert speed.validate_json(speed.to_json(value)) == value


def test_nan_comes_back_as_nan():
    speed = schema(list[float])
    assert math.isnan(speed.validate_json(speed.to_json([math.nan]))[0])


def test_bytes_come_back_as_they_were():
    raw = schema(bytes)
    assert raw.validate_json(raw.to_json(b"\x00\xff\xfe")) == b"\x00\xff\xfe"
    assert raw.validate_json(b'"//77"') == b"\xff\xfe\xfb"


def test_the_context_reaches_serialisers():
    assert schema(Written).to_json(Written(), {"n": 7}) == b'{"n":7}'


def test_writing_leaves_the_value_alone():
    value = {"a": [1.0, math.nan], "b": Reading(value=1)}
    schema(Any).to_json(value)
    assert list(value) == ["a", "b"]
    assert isinstance(value["b"], Reading)


def _deep() -> list[Any]:
    outer: list[Any] = []
    inner = outer
    for _ in range(5000):
        inner.append([])
        inner = inner[0]
    return outer


def _circular() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Any, _deep()),
        (list[Any], _deep()),
        (Any, _circular()),
        (Any, "\ud800"),
        (str, "\ud800"),
        (Label, Label(text="\ud800")),
        (dict[str, int], {"\udcff": 1}),
        (Any, Foreign()),
        (float, Foreign()),
        (Any, [Foreign()]),
        (Angry, Angry()),
        (bytes, Foreign()),
    ],
)
def test_the_error_for_a_value_without_json_form_names_the_place_and_the_type(hint, value):
    with pytest.raises(UnserialisableValueError, match=r"^Stage\.speed: ") as caught:
        schema(hint).to_json(value)
    assert type(value).__name__ in str(caught.value)


class Tree(BaseModel):
    """A tree."""

    branches: list[Tree] = []


def test_the_json_schema_names_its_definitions():
    described, definitions = schema(list[Tree]).json_schema()
    assert described["items"] == {"$ref": "#/components/schemas/Tree"}
    assert definitions["Tree"]["type"] == "object"
    bounded = ({"exclusiveMinimum": 0, "maximum": 5, "type": "number"}, {})
    assert schema(float, gt=0, le=5).json_schema() == bounded


def test_input_and_output_may_be_described_differently():
    assert schema(Doubled).data_schema("validation")["properties"].keys() == {"n"}
    assert schema(Doubled).data_schema("serialization")["properties"].keys() == {"n", "ratio"}


def test_a_data_schema_is_the_callers_to_change():
    speed = schema(float)
    speed.data_schema()["title"] = "changed"
    assert "title" not in speed.data_schema()


def test_a_data_schema_is_not_titled_by_the_name_of_a_class():
    assert "title" not in schema(Label).data_schema()
    assert schema(Annotated[float, Field(title="Speed")]).data_schema()["title"] == "Speed"


def test_an_infinite_default_or_bound_is_described_in_json():
    class Window(BaseModel):
        end: Annotated[float, Field(lt=math.inf)] = math.inf

    described = schema(Window).data_schema()
    end = described["properties"]["end"]
    assert end["default"] == "Infinity"
    assert end["oneOf"] == [{"type": "number"}, {"type": "string", "enum": ["-Infinity"]}]
    json.dumps(described, allow_nan=False)
