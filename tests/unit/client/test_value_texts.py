"""Texts of a shell as values of a data schema."""

from __future__ import annotations

from typing import Any

import pytest

from labthings_fastapi.client.value_texts import ValueTextError, expected, value_of

NUMBER = {
    "oneOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"], "type": "string"}],
    "unit": "mm",
}
MAYBE = {"oneOf": [{"type": "integer"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("3", NUMBER, 3),
        ("-2.5e-3", NUMBER, -0.0025),
        (".5", NUMBER, 0.5),
        ("3 mm", NUMBER, 3),
        ("3mm", NUMBER, 3),
        ("nan", NUMBER, "NaN"),
        ("-inf", NUMBER, "-Infinity"),
        ("3", {"type": "string"}, "3"),
        ("true", {"type": "string"}, "true"),
        ("", {"type": "string"}, ""),
        ("4.0", {"type": "integer"}, 4),
        ("Yes", {"type": "boolean"}, True),
        ("null", MAYBE, None),
        ("7", MAYBE, 7),
        ("2", {"enum": [1, 2]}, 2),
        ("1,2", {"type": "array", "items": NUMBER}, [1, 2]),
        ("", {"type": "array", "items": NUMBER}, []),
        ('["a,b"]', {"type": "array"}, ["a,b"]),
        ("x,2", {"type": "array", "items": [{"type": "string"}, NUMBER]}, ["x", 2]),
        ('{"x": 1}', {"type": "object"}, {"x": 1}),
        ("plain", None, "plain"),
        ("[1]", {}, [1]),
    ],
)
def test_the_schema_says_what_a_text_is(text: str, schema: Any, value: Any) -> None:
    found = value_of(text, schema, "distance")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["far", "3 um", "3 m", "1,5", "", "true", "[3]", "1_0", "1e999"])
def test_what_is_no_number_is_refused_with_the_unit(text: str) -> None:
    with pytest.raises(ValueTextError, match="a number in mm"):
        value_of(text, NUMBER, "distance")


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("4.5", {"type": "integer"}),
        ("2", {"type": "boolean"}),
        ("z", {"enum": ["x", "y"]}),
        ("1,far", {"type": "array", "items": NUMBER}),
        ("3", {"type": "object"}),
    ],
)
def test_other_wrong_texts_are_refused(text: str, schema: Any) -> None:
    with pytest.raises(ValueTextError):
        value_of(text, schema, "name")


def test_what_is_expected_names_choices_and_limits() -> None:
    assert expected({"enum": ["x", "y"]}) == "one of x, y"
    limits = {"type": "number", "unit": "mm/s", "exclusiveMinimum": 0, "maximum": 50}
    assert expected(limits) == "a number in mm/s, > 0, ≤ 50"


@pytest.mark.parametrize(
    "text", ["20 µm/s", "20 um/s", "20 \N{GREEK SMALL LETTER MU}m/s", "20µm/s"]
)
@pytest.mark.parametrize(
    "unit", [{"unit": "µm/s"}, {"unit": "om:micrometrePerSecond-Time"}], ids=["short", "term"]
)
def test_a_unit_is_typed_and_told_as_people_write_it(text: str, unit: dict[str, str]) -> None:
    schema = {"type": "number", **unit}
    assert value_of(text, schema, "stage.speed") == 20
    assert expected(schema) == "a number in µm/s"
    with pytest.raises(ValueTextError, match="is not a number in µm/s"):
        value_of("20 mm/s", schema, "stage.speed")
