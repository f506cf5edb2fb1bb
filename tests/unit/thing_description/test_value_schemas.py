"""Data schemas in a description: units, open objects, and types beside `oneOf`."""

from __future__ import annotations

import pytest

from labthings_fastapi.thing_description.units import SHORT_FORMS
from labthings_fastapi.thing_description.value_schemas import units_in, value_schema

NUMBER = {"type": "number"}
MM = {"type": "number", "unit": "mm"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (NUMBER, MM),
        ({"type": "array", "items": NUMBER}, {"type": "array", "items": MM}),
        (
            {"type": "array", "items": [NUMBER, {"type": "integer"}]},
            {"type": "array", "items": [MM, {"type": "integer", "unit": "mm"}]},
        ),
        (
            {"type": "object", "properties": {"x": NUMBER, "name": {"type": "string"}}},
            {"type": "object", "properties": {"x": MM, "name": {"type": "string"}}},
        ),
        (
            {"type": "object", "properties": {"x": {**NUMBER, "unit": "s"}, "y": NUMBER}},
            {"type": "object", "properties": {"x": {**NUMBER, "unit": "s"}, "y": MM}},
        ),
        (
            {"type": "object", "additionalProperties": NUMBER},
            {"type": "object", "additionalProperties": MM, "properties": {}},
        ),
        (
            {"oneOf": [NUMBER, {"type": "null"}]},
            {"oneOf": [NUMBER, {"type": "null"}], "unit": "mm"},
        ),
        (
            {"type": "array", "items": {"oneOf": [NUMBER, {"type": "null"}]}},
            {"type": "array", "items": {"oneOf": [NUMBER, {"type": "null"}], "unit": "mm"}},
        ),
        ({"type": "string"}, {"type": "string", "unit": "mm"}),
        ({}, {"unit": "mm"}),
    ],
)
def test_the_unit_belongs_to_the_numbers(schema, expected):
    before = repr(schema)
    assert value_schema(schema, "mm") == expected
    assert repr(schema) == before


def test_a_term_of_a_vocabulary_has_its_short_form_beside_it():
    assert value_schema(NUMBER, "om:micrometre") == {
        **NUMBER,
        "unit": "om:micrometre",
        "labthings:unit": "µm",
    }
    assert value_schema({**NUMBER, "unit": "om:volt"})["labthings:unit"] == "V"
    assert len(set(SHORT_FORMS.values())) == len(SHORT_FORMS)


def test_an_object_that_may_have_any_members_has_empty_properties():
    schema = {"type": "array", "items": {"type": "object"}}
    assert value_schema(schema)["items"] == {"type": "object", "properties": {}}


def test_a_default_that_the_type_does_not_allow_is_left_out():
    assert value_schema({**NUMBER, "default": None}) == NUMBER
    nullable = {"oneOf": [NUMBER, {"type": "null"}], "default": None}
    assert value_schema(nullable) == nullable


@pytest.mark.parametrize(
    ("branches", "shared"),
    [
        ([{"type": "string", "maxLength": 3}, {"type": "string", "pattern": "x"}], "string"),
        ([{"type": "string"}, {"type": "number"}], None),
        ([NUMBER, {"type": "null"}], None),
        ([NUMBER, {"const": None}], None),
        ([{"oneOf": [MM, NUMBER]}, NUMBER], "number"),
    ],
)
def test_a_type_stands_beside_one_of_where_all_branches_share_it(branches, shared):
    assert value_schema({"oneOf": branches}).get("type") == shared


def test_the_units_of_a_description_are_found_at_any_depth():
    described = {"properties": {"unit": {"type": "object", "properties": {"x": MM}}}, "unit": "s"}
    assert units_in(described) == {"mm", "s"}
