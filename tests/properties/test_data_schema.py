"""Every type has a data schema that keeps to the standard and that its own values satisfy."""

from __future__ import annotations

import datetime
import enum
import functools
import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from pydantic import BaseModel, Field

from labthings_fastapi.schemas.values import ValueSchema


class Colour(enum.Enum):
    RED = "red"
    TWO = 2


class Point(BaseModel):
    x: float
    y: int = 0


class Named(BaseModel):
    name: str
    x: int | None = None


VALUES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=5),
    bool: st.booleans(),
    None: st.none(),
    bytes: st.binary(max_size=5),
    datetime.date: st.dates(),
    Colour: st.sampled_from(Colour),
    Point: st.builds(Point, x=st.integers(-9, 9), y=st.integers(-9, 9)),
    Named: st.builds(Named, name=st.text(max_size=5), x=st.none() | st.integers(-9, 9)),
    Literal["a", "red"]: st.sampled_from(["a", "red"]),
    Literal[1, "1"]: st.sampled_from([1, "1"]),
    Literal[True]: st.just(True),
    Annotated[int, Field(ge=0, le=5)]: st.integers(0, 5),
    Annotated[float, Field(gt=3)]: st.floats(3, 9, exclude_min=True),
    Annotated[str, Field(pattern="^a", max_length=3)]: st.sampled_from(["a", "ab", "abc"]),
}

Typed = tuple[Any, st.SearchStrategy[Any]]


def _union(members: Iterable[Any]) -> Any:
    return functools.reduce(lambda one, two: two if one is two else one | two, members)


def _containers(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    return st.one_of(
        inner.map(lambda of: (list[of[0]], st.lists(of[1], max_size=3))),
        inner.map(
            lambda of: (dict[str, of[0]], st.dictionaries(st.text(max_size=3), of[1], max_size=3))
        ),
        inner.map(lambda of: (of[0] | None if of[0] else None, st.none() | of[1])),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda them: (tuple[tuple(t for t, _ in them)], st.tuples(*(v for _, v in them)))
        ),
        st.lists(inner, min_size=2, max_size=3).map(
            lambda them: (_union(t for t, _ in them), st.one_of(*(v for _, v in them)))
        ),
    )


TYPES = st.recursive(st.sampled_from(list(VALUES.items())), _containers, max_leaves=6)


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    items = schema.get("items", [])
    for part in (
        *(items if isinstance(items, list) else [items]),
        *schema.get("oneOf", ()),
        *schema.get("properties", {}).values(),
        *([extra] if (extra := schema.get("additionalProperties")) else ()),
    ):
        yield from _parts(part)


@given(TYPES)
def test_every_part_has_a_type_of_the_standard(typed):
    hint, _ = typed
    for mode in ("validation", "serialization"):
        for part in _parts(ValueSchema(hint, where="t").data_schema(mode)):
            assert not part.keys() & {"anyOf", "allOf", "$ref", "$defs", "prefixItems"}
            assert part.keys() & {"type", "const", "enum", "oneOf"}


@given(TYPES, st.data())
def test_a_value_satisfies_the_schema_of_its_type(typed, data):
    hint, values = typed
    schema = ValueSchema(hint, where="t")
    value = schema.validate(data.draw(values))
    # Draft 7 is the draft whose `items` is the standard's; each oneOf must match exactly once.
    Draft7Validator(schema.data_schema("serialization")).validate(json.loads(schema.to_json(value)))


@given(TYPES, st.data())
def test_plain_values_are_written_as_pydantic_writes_them(typed, data):
    hint, values = typed
    schema = ValueSchema(hint, where="t")
    value = schema.validate(data.draw(values))
    assert schema.to_json(value) == schema.adapter.dump_json(value)
