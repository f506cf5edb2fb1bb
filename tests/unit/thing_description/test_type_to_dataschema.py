"""The documented path, and the shape that existing code reads from it."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from labthings_fastapi.thing_description import convert_prefixitems, type_to_dataschema
from labthings_fastapi.thing_description.model import DataSchema


class Point(BaseModel):
    """A point on the sample."""

    x: float
    label: str | None = None


class Line(BaseModel):
    start: Point
    end: Point


class Tree(BaseModel):
    branches: list[Tree]


class Described(BaseModel):
    @classmethod
    def model_json_schema(cls, *_arguments: Any, **_options: Any) -> dict[str, Any]:
        return {"type": "string", "format": "colour"}


def dumped(hint: Any, **members: Any) -> Any:
    return json.loads(type_to_dataschema(hint, **members).model_dump_json(exclude_none=True))


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (int, {"type": "integer"}),
        (Any, {}),
        (None, {"type": "null"}),
        (int | None, {"oneOf": [{"type": "integer"}, {"type": "null"}]}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (
            tuple[int, int],
            {
                "type": "array",
                "items": [{"type": "integer"}, {"type": "integer"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (
            dict[Literal["a", "b"], int],
            {
                "type": "object",
                "additionalProperties": {"type": "integer"},
                "propertyNames": {"enum": ["a", "b"]},
            },
        ),
    ],
)
def test_a_type_is_described(hint, expected):
    assert dumped(hint) == expected


def test_a_model_is_described_with_its_docstring_and_without_references():
    point = dumped(Line)["properties"]["start"]
    assert point["description"] == "A point on the sample."
    assert point["properties"]["label"]["oneOf"] == [{"type": "string"}, {"type": "null"}]
    assert "default" not in point["properties"]["label"]
    assert point["required"] == ["x"]
    assert "$" not in json.dumps(dumped(Line))


def test_further_members_are_added_and_attributes_have_the_names_of_the_standard():
    schema = type_to_dataschema(float, title="Speed", unit="mm/s", readOnly=True)
    assert isinstance(schema, DataSchema)
    assert (schema.title, schema.unit, schema.readOnly) == ("Speed", "mm/s", True)
    assert schema.type is not None
    assert schema.type.value == schema.type == "number"


def test_a_recursive_model_has_no_data_schema():
    with pytest.raises(RecursionError, match="Tree"):
        type_to_dataschema(Tree)


def test_a_class_may_describe_itself():
    assert dumped(Described) == {"type": "string", "format": "colour"}


def test_prefix_items_become_a_list_of_items():
    assert convert_prefixitems({"prefixItems": [{"type": "null"}], "maxItems": 1}) == {
        "items": [{"type": "null"}],
        "maxItems": 1,
    }
    assert convert_prefixitems({"items": {}}) == {"items": {}}
    with pytest.raises(KeyError, match="prefixItems"):
        convert_prefixitems({"items": {}, "prefixItems": []})
