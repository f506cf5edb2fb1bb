from __future__ import annotations

import datetime
import decimal
import enum
import json
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft7Validator
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from labthings_fastapi.schemas.data_schema import data_schema, data_schema_of


class Colour(enum.Enum):
    """Colours of the lamp."""

    RED = "red"
    GREEN = "green"


class Point(BaseModel):
    """A place in the sample."""

    x: float
    y_position: float = Field(0, title="Height", description="Above the table.")


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", title="A closed box")
    lid: bool = True


class Tree(BaseModel):
    name: str
    branches: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str]


class TextSize(BaseModel):
    size: str


class NumberSize(BaseModel):
    size: float
    unit: str | None = None


def described_type(hint: Any) -> dict[str, Any]:
    return data_schema_of(TypeAdapter(hint), hint, "validation")


NUMBER = {"type": "number"}
NOT_FINITE = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
FLOAT = {"oneOf": [NUMBER, NOT_FINITE]}
INTEGER = {"type": "integer"}
STRING = {"type": "string"}
NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (int, INTEGER),
        (float, FLOAT),
        (bool, {"type": "boolean"}),
        (str, STRING),
        (None, NULL),
        (Any, {}),
        (JsonValue, {}),
        (datetime.datetime, {"type": "string", "format": "date-time"}),
        (Colour, {**STRING, "enum": ["red", "green"], "description": "Colours of the lamp."}),
        (Literal["a"], {**STRING, "const": "a"}),
        (Literal["a", 1, None], {"enum": ["a", 1, None]}),
        (list[int], {"type": "array", "items": INTEGER}),
        (set[int], {"type": "array", "items": INTEGER, "uniqueItems": True}),
        (tuple[int, ...], {"type": "array", "items": INTEGER}),
        (
            tuple[int, str],
            {"type": "array", "items": [INTEGER, STRING], "minItems": 2, "maxItems": 2},
        ),
        (tuple[()], {"type": "array", "minItems": 0, "maxItems": 0}),
        (dict[str, float], {"type": "object", "additionalProperties": FLOAT}),
        (Annotated[float, Field(allow_inf_nan=False)], NUMBER),
        (
            dict[int, str],
            {
                "type": "object",
                "additionalProperties": STRING,
                "propertyNames": {**STRING, "pattern": "^(-?[1-9][0-9]*|0)$"},
            },
        ),
        (
            Annotated[float, Field(gt=0, le=5, multiple_of=0.5)],
            {**NUMBER, "exclusiveMinimum": 0, "maximum": 5, "multipleOf": 0.5},
        ),
        (
            Annotated[str, Field(min_length=1, max_length=3, pattern="^a")],
            {**STRING, "minLength": 1, "maxLength": 3, "pattern": "^a"},
        ),
        (
            Annotated[int, Field(title="Count", description="How many.")],
            {**INTEGER, "title": "Count", "description": "How many."},
        ),
        (
            Annotated[
                int,
                Field(
                    json_schema_extra={
                        "unit": "mm",
                        "@type": "om:Length",
                        "om:x": 1,
                        "examples": [2],
                    }
                ),
            ],
            {**INTEGER, "unit": "mm", "@type": "om:Length", "om:x": 1},
        ),
    ],
)
def test_types_and_what_they_become(hint, expected):
    assert described_type(hint) == expected


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (float | None, [NUMBER, NOT_FINITE, NULL]),
        (int | float, [NUMBER, NOT_FINITE]),
        (float | str, [NUMBER, STRING]),
        (int | float | None, [NUMBER, NOT_FINITE, NULL]),
        (int | bool, [INTEGER, {"type": "boolean"}]),
        (str | datetime.datetime, STRING),
        (Any | None, {}),
        (Literal["a"] | Literal["b"], {**STRING, "enum": ["a", "b"]}),
        (Literal["a"] | str, STRING),
        (Literal["a"] | None, [{**STRING, "const": "a"}, NULL]),
        (
            Literal["auto"] | datetime.date,
            [
                {**STRING, "const": "auto"},
                {**STRING, "format": "date", "not": {**STRING, "const": "auto"}},
            ],
        ),
        (Literal["auto", 1] | str, [STRING, {"enum": [1]}]),
        (Literal["auto", 1] | str | int, [STRING, INTEGER]),
        (Literal["a"] | Literal[1], [{**STRING, "const": "a"}, {**INTEGER, "const": 1}]),
        (
            Literal["ab", 1] | Annotated[str, Field(max_length=1)],
            [{"enum": ["ab", 1]}, {**STRING, "maxLength": 1}],
        ),
        (
            Literal["a", "ab"] | Annotated[str, Field(max_length=1)],
            [
                {**STRING, "enum": ["a", "ab"]},
                {**STRING, "maxLength": 1, "not": {**STRING, "enum": ["a", "ab"]}},
            ],
        ),
        (Literal[True] | int, [{"type": "boolean", "const": True}, INTEGER]),
        (
            Literal[-1] | Annotated[int, Field(ge=0)],
            [{**INTEGER, "const": -1}, {**INTEGER, "minimum": 0}],
        ),
        (
            Annotated[int, Field(ge=0, le=9)] | Annotated[float, Field(ge=-1)],
            [{**NUMBER, "minimum": -1}, {**STRING, "enum": ["Infinity"]}],
        ),
        (
            Annotated[int, Field(le=0)] | Annotated[int, Field(ge=1)],
            [{**INTEGER, "maximum": 0}, {**INTEGER, "minimum": 1}],
        ),
        (
            Annotated[str, Field(pattern="^a")] | Literal["b"],
            [{**STRING, "pattern": "^a"}, {**STRING, "const": "b"}],
        ),
        (list[int] | list[float], {"type": "array", "items": FLOAT}),
        (
            list[int] | list[str],
            [
                {"type": "array", "items": INTEGER},
                {
                    "type": "array",
                    "items": STRING,
                    "not": {"type": "array", "items": INTEGER},
                },
            ],
        ),
        (list[int] | tuple[int, int], {"type": "array", "items": INTEGER}),
        (
            tuple[int] | tuple[str, str],
            [
                {"type": "array", "items": INTEGER, "minItems": 1, "maxItems": 1},
                {"type": "array", "items": STRING, "minItems": 2, "maxItems": 2},
            ],
        ),
        (list[int] | int | list[float], [{"type": "array", "items": FLOAT}, INTEGER]),
    ],
)
def test_branches_of_a_union_exclude_one_another(hint, expected):
    described = described_type(hint)
    branches = described.get("oneOf", described)
    if isinstance(expected, list):
        assert sorted(branches, key=_order) == sorted(expected, key=_order)
    else:
        assert branches == expected


def _order(schema: dict[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True)


def test_a_model_keeps_the_titles_of_its_author_and_drops_generated_ones():
    described = described_type(list[Point])["items"]
    assert described == {
        "type": "object",
        "description": "A place in the sample.",
        "properties": {
            "x": FLOAT,
            "y_position": {
                **FLOAT,
                "default": 0,
                "title": "Height",
                "description": "Above the table.",
            },
        },
        "required": ["x"],
    }


def test_a_title_that_the_author_gave_to_a_model_is_kept():
    described = described_type(list[Closed])["items"]
    assert described["title"] == "A closed box"
    assert described["additionalProperties"] is False


def test_a_type_that_contains_itself_refers_to_its_definition():
    described = described_type(Tree)
    # The type is for clients that do not follow references.
    reference = {"type": "object", "$ref": "#/$defs/Tree"}
    branches = {"type": "array", "items": reference, "default": []}
    assert described["properties"]["branches"].items() >= branches.items()
    (definition,) = described["$defs"].values()
    assert definition["properties"]["branches"] == branches
    assert definition["required"] == ["name"]


def test_a_member_with_references_has_their_definitions_and_is_a_schema_by_itself():
    class Input(BaseModel):
        tree: Tree
        count: int

    described = described_type(Input)["properties"]
    assert not Draft7Validator(described["tree"]).is_valid({"name": "a", "branches": [{}]})
    assert "$defs" not in described["count"]


class Left(BaseModel):
    right: Right | None = None
    tree: Tree | None = None


class Right(BaseModel):
    left: Left


def test_types_that_contain_one_another_are_all_defined():
    described = described_type(list[Left])
    judge = Draft7Validator(described)
    assert judge.is_valid([{"right": {"left": {"tree": {"name": "a"}}}}])
    assert not judge.is_valid([{"right": {"left": {"right": {"left": 3}}}}])
    assert not judge.is_valid([{"right": {"left": {"tree": {"name": 3}}}}])
    assert set(described["$defs"]) >= {"Left", "Tree"}


def test_limits_of_times_are_named_as_validators_name_them():
    first = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    described = described_type(Annotated[datetime.datetime, Field(ge=first)])
    assert described == {
        "type": "string",
        "format": "date-time",
        "formatMinimum": "2026-01-01T00:00:00+00:00",
    }
    last = datetime.date(2026, 12, 31)
    described = described_type(Annotated[datetime.date, Field(lt=last)])
    assert described["formatExclusiveMaximum"] == "2026-12-31"


def test_a_duration_and_a_decimal_number_that_are_never_negative_have_no_sign():
    seconds = described_type(Annotated[datetime.timedelta, Field(gt=datetime.timedelta(0))])
    assert not Draft7Validator(seconds).is_valid("-PT1S")
    amount = described_type(Annotated[decimal.Decimal, Field(ge=0)])
    assert not Draft7Validator(amount).is_valid("-1.5")
    assert Draft7Validator(amount).is_valid("1.5")


def test_an_optional_default_stays_beside_the_branches():
    class Options(BaseModel):
        limit: int | None = Field(None, description="At most.")

    assert described_type(Options)["properties"]["limit"] == {
        "oneOf": [INTEGER, NULL],
        "default": None,
        "description": "At most.",
    }


def test_objects_with_different_tags_stay_apart():
    described = described_type(Annotated[Cat | Dog, Field(discriminator="kind")])
    assert [branch["properties"]["kind"]["const"] for branch in described["oneOf"]] == [
        "cat",
        "dog",
    ]
    assert all("kind" in branch["required"] for branch in described["oneOf"])


def test_objects_whose_required_members_differ_in_type_stay_apart():
    assert len(described_type(TextSize | NumberSize)["oneOf"]) == 2


def test_of_objects_that_nothing_distinguishes_the_second_excludes_the_first():
    described = described_type(Cat | Dog)
    assert described["type"] == "object"
    cat, dog = described["oneOf"]
    assert dog["not"] == cat
    assert dog["required"] == ["tricks"]


def test_a_member_that_the_other_forbids_distinguishes_objects():
    assert len(described_type(Closed | Point)["oneOf"]) == 2


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["string", "null"]}, {"oneOf": [STRING, NULL]}),
        ({"minimum": 1}, {"minimum": 1, "type": "number"}),
        ({"properties": {"a": True}}, {"properties": {"a": {}}, "type": "object"}),
        (
            {"allOf": [{"type": "integer"}, {"minimum": 1}], "title": "T"},
            {"type": "integer", "minimum": 1, "title": "T"},
        ),
        (
            {
                "allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": NULL}, "required": ["b"]}],
                "$defs": {"A": {"type": "object", "properties": {"a": NULL}, "required": ["a"]}},
            },
            {"type": "object", "properties": {"a": NULL, "b": NULL}, "required": ["a", "b"]},
        ),
        (
            {
                "$ref": "#/$defs/A",
                "description": "mine",
                "$defs": {"A": {"type": "null", "description": "its"}},
            },
            {"type": "null", "description": "mine"},
        ),
        ({"$ref": "#/$defs/Gone"}, {}),
        (
            {
                "$ref": "#/$defs/A",
                "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}},
            },
            {},
        ),
        (
            {"type": "number", "default": float("nan"), "maximum": float("inf")},
            {"type": "number", "default": "NaN"},
        ),
        (
            {"anyOf": [{"type": "string", "pattern": "(?P<broken"}, {"const": "a"}]},
            {"type": "string", "pattern": "(?P<broken"},
        ),
    ],
)
def test_json_schema_of_any_origin_is_understood(schema, expected):
    assert data_schema(schema) == expected


def test_the_input_is_left_alone():
    schema = {"anyOf": [{"type": "integer", "title": "A"}, {"type": "number"}]}
    before = json.dumps(schema)
    described = data_schema(schema)
    described["title"] = "changed"
    assert json.dumps(schema) == before
