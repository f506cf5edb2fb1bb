"""Columns of values, by their data schema or by what they are."""

from __future__ import annotations

from typing import Any

import pytest

from labthings_fastapi.outputs.arrow_tables import ArrowWriter
from labthings_fastapi.outputs.tables import csv_text, described_columns, found_columns

NUMBER: dict[str, Any] = {
    "oneOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]
}


def listed(columns: Any) -> dict[str, str]:
    return {each.name: each.kind for each in columns.listed}


@pytest.mark.parametrize(
    ("schema", "columns"),
    [
        ({"type": "number"}, {"value": "number"}),
        (NUMBER, {"value": "number"}),
        ({"oneOf": [*NUMBER["oneOf"], {"type": "null"}]}, {"value": "number"}),
        ({"type": "array", "items": {"type": "number"}}, {"value": "json"}),
        ({"type": "string", "format": "date-time"}, {"value": "time"}),
        ({"type": "integer", "oneOf": [{"const": 1}], "enum": [1]}, {"value": "integer"}),
        ({"enum": ["a", 1]}, {"value": "json"}),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, {"value": "json"}),
        (
            {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            {"0": "number", "1": "number"},
        ),
        (
            {"type": "object", "properties": {"a": {"type": "object"}, "b": {"$ref": "#"}}},
            {"a": "json", "b": "json"},
        ),
        (
            {
                "type": "object",
                "properties": {
                    "p": {
                        "oneOf": [
                            {"type": "object", "properties": {"x": {"type": "number"}}},
                            {"type": "null"},
                        ]
                    }
                },
            },
            {"p.x": "number"},
        ),
    ],
)
def test_a_data_schema_says_the_columns(schema: Any, columns: dict[str, str]) -> None:
    assert listed(described_columns(schema)) == columns


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"type": "object", "properties": {}}])
def test_some_schemas_do_not(schema: Any) -> None:
    assert described_columns(schema) is None


def test_columns_are_found_in_the_order_of_the_members() -> None:
    values = [{"a": 1, "b": {"c": None}}, {"d": [1], "a": 2.5}, {"b": {"c": "x"}}]
    columns = found_columns(values, open=False)
    assert listed(columns) == {"a": "number", "b.c": "string", "d": "json"}
    assert columns.row(values[1]) == [2.5, None, [1]]


def test_a_value_of_another_kind_is_not_lost() -> None:
    columns = found_columns([{"a": 1}, 5], open=False)
    assert columns.names == ["a", "value"]
    assert columns.row(5) == [None, 5]
    later = found_columns([{"a": 1}], open=True)
    assert later.row(5) == [None, 5]
    assert later.row({"a": 1}) == [1, None]
    assert later.row({"b": {"c": 2}}) == [None, {"b.c": 2}]


def test_numbers_that_are_no_int64_are_text() -> None:
    columns = found_columns([2**63], open=False)
    assert listed(columns) == {"value": "json"}
    assert ArrowWriter(columns).take([[2**63]])


def test_csv_quotes_and_keeps_line_ends_apart() -> None:
    text = csv_text([["a,b", 'say "x"', "two\nlines", None, True, {"k": [1]}, "π"]])
    assert text.decode() == '"a,b","say ""x""","two\nlines",,true,"{""k"":[1]}",π\r\n'


def test_a_cell_that_does_not_fit_its_column_is_an_error() -> None:
    columns = found_columns([1.5], open=True)
    with pytest.raises(ValueError, match="does not fit"):
        ArrowWriter(columns).take([["text", None]])
