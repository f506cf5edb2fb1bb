from __future__ import annotations

import functools
import types
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from labthings_fastapi.exceptions import AffordanceDefinitionError
from labthings_fastapi.schemas.signature import (
    arguments,
    check_signature,
    input_model,
    resolved_hints,
    return_hints,
)


class Point(BaseModel):
    x: float
    y: float = 0


class Plain:
    """A class without a pydantic schema."""


class Stage:
    class Axis(BaseModel):
        name: str

    def move(self, x: float, y: Annotated[float, Field(ge=0, le=10)] = 1.5, *, fast: bool = False):
        """Move.

        Args:
            x: where to, in mm.
            y: how high.
            fast: not used here.
        """

    def untyped(self, value): ...

    def many(self, first: int, **rest: float): ...

    def anything(self, first: int, camera: Plain, **rest): ...

    def awkward(self, json: int, copy: str = "c", model_fields: int = 3, _hidden: int = 0): ...

    def clashing(self, json: int, field_json: int = 2): ...

    def collect(self, points: list[int] = [], tree: tuple[list[int], int] = ([], 1)): ...  # noqa: B006

    def field_default(self, n: int = Field(3, gt=2, description="stated")):
        """Count.

        Args:
            n: not this one.
        """

    def aliased(self, n: Annotated[int, Field(alias="number")] = 1): ...

    def go_to(self, point: Point, axis: Axis | None = None): ...

    def odd(self, plain: Plain): ...

    def missing(self, x: Nowhere): ...  # noqa: F821

    def half_missing(self, x: functools.nowhere): ...  # type: ignore


def model_of(func: Any, **options: Any) -> Any:
    return input_model(func, name="Input", **options)


@pytest.mark.parametrize("func", [Stage.move, Stage.untyped, Stage.many, lambda self, /, x: x])
def test_signatures_with_named_parameters_are_accepted(func):
    assert check_signature(func) is None


def _variadic(self, *values): ...
def _positional(self, x, /, y): ...
def _no_self(): ...
def _only_keywords(*, x): ...
def _only_rest(**x): ...


@pytest.mark.parametrize(
    ("func", "words"),
    [
        (_variadic, ["_variadic", "*values", "Give each argument a name"]),
        (_positional, ["_positional", "'x'", "Move the '/'"]),
        (_no_self, ["_no_self", "self"]),
        (_only_keywords, ["_only_keywords", "self"]),
        (_only_rest, ["_only_rest", "self"]),
        (dict.fromkeys, ["fromkeys"]),
        (dict, ["dict"]),
    ],
)
def test_a_signature_that_json_cannot_fill_is_refused_by_name_with_a_remedy(func, words):
    with pytest.raises(AffordanceDefinitionError) as caught:
        check_signature(func)
    for word in words:
        assert word in str(caught.value)


def test_the_signature_is_checked_without_looking_at_hints():
    assert check_signature(Stage.missing) is None


def test_a_hint_that_cannot_be_found_is_named_with_its_method():
    with pytest.raises(AffordanceDefinitionError, match=r"Stage\.missing: .*'Nowhere'"):
        resolved_hints(Stage.missing)
    with pytest.raises(AffordanceDefinitionError, match=r"Stage\.missing: .*'Nowhere'"):
        resolved_hints(Stage.missing, owner=Stage)
    with pytest.raises(AffordanceDefinitionError, match=r"Stage\.half_missing: .*'nowhere'"):
        resolved_hints(Stage.half_missing)


def test_a_hint_may_name_a_class_inside_of_the_thing():
    assert resolved_hints(Stage.go_to, owner=Stage)["axis"] == Stage.Axis | None
    with pytest.raises(AffordanceDefinitionError, match="Axis"):
        resolved_hints(Stage.go_to)


def test_an_action_named_like_a_builtin_type_hides_it_from_no_hint():
    scope = types.SimpleNamespace(Axis=Stage.Axis, float="not a type", Point="not a type")
    hints = resolved_hints(Stage.go_to, owner=scope)
    assert hints["point"] is Point


def test_hints_keep_what_is_annotated():
    assert resolved_hints(Stage.move)["y"].__metadata__


def test_the_input_has_the_parameters_with_their_defaults_and_limits():
    model = model_of(Stage.move)
    assert arguments(model(x="2")) == {"x": 2.0, "y": 1.5, "fast": False}
    with pytest.raises(ValidationError, match="y"):
        model(x=1, y=11)
    with pytest.raises(ValidationError, match="x"):
        model()


def test_the_docstring_describes_parameters():
    properties = model_of(Stage.move).model_json_schema()["properties"]
    assert properties["x"]["description"] == "where to, in mm."
    assert properties["y"]["description"] == "how high."


def test_a_parameter_without_hint_takes_anything():
    for value in (1, "a", [None], {"a": 1}):
        assert arguments(model_of(Stage.untyped)(value=value)) == {"value": value}


def test_members_without_a_parameter_are_refused():
    with pytest.raises(ValidationError, match="extra_forbidden"):
        model_of(Stage.move)(x=1, z=2)


def test_rest_parameters_receive_the_other_members_whatever_their_hint_says():
    model = model_of(Stage.many)
    assert arguments(model(first=1, a="far", b=3)) == {"first": 1, "a": "far", "b": 3}


def test_untyped_rest_parameters_receive_anything():
    model = model_of(Stage.anything, skip={"camera"})
    assert arguments(model(first=1, a=[1])) == {"first": 1, "a": [1]}


@pytest.mark.parametrize("name", ["self", "camera"])
def test_rest_parameters_cannot_replace_what_is_injected(name):
    model = model_of(Stage.anything, skip={"camera"})
    with pytest.raises(ValidationError, match=name):
        model.model_validate({"first": 1, name: 2})


def test_skipped_parameters_are_no_input():
    assert "fast" not in model_of(Stage.move, skip={"fast"}).model_json_schema()["properties"]


def test_parameters_may_be_named_like_attributes_of_models():
    model = model_of(Stage.awkward)
    assert set(model.model_json_schema()["properties"]) == {
        "json",
        "copy",
        "model_fields",
        "_hidden",
    }
    given = model.model_validate_json('{"json": 1, "_hidden": 2}')
    assert arguments(given) == {"json": 1, "copy": "c", "model_fields": 3, "_hidden": 2}
    assert given.model_dump()["json"] == 1


def test_an_invented_field_name_never_takes_the_place_of_a_parameter():
    assert arguments(model_of(Stage.clashing)(json=1)) == {"json": 1, "field_json": 2}


def test_an_alias_is_the_name_on_the_wire_and_not_in_the_call():
    assert arguments(model_of(Stage.aliased)(number=4)) == {"n": 4}


def test_a_field_as_default_is_understood():
    model = model_of(Stage.field_default)
    assert arguments(model()) == {"n": 3}
    assert model.model_json_schema()["properties"]["n"]["description"] == "stated"
    with pytest.raises(ValidationError):
        model(n=2)


def test_mutable_defaults_are_not_shared_between_calls():
    model = model_of(Stage.collect)
    first, second = arguments(model()), arguments(model())
    first["points"].append(1)
    first["tree"][0].append(1)
    assert second == {"points": [], "tree": ([], 1)}
    assert arguments(model()) == second


def test_arguments_are_python_values_and_not_dumped():
    model = model_of(Stage.go_to, owner=Stage)
    assert arguments(model(point={"x": 1}))["point"] == Point(x=1)


def test_arguments_of_any_model_are_its_fields():
    assert arguments(Point(x=1)) == {"x": 1, "y": 0}


def test_a_parameter_that_cannot_come_from_json_is_named():
    with pytest.raises(AffordanceDefinitionError, match=r"Stage\.odd: parameter 'plain'.*Plain"):
        model_of(Stage.odd)


def _nothing(self) -> None: ...
def _unhinted(self): ...
def _number(self) -> int: ...
def _returns_iterator(self) -> Iterator[int]: ...


def _iterator(self) -> Iterator[int]:
    yield 1


def _iterable(self) -> Iterable[Point]:
    yield Point(x=1)


def _bare_iterator(self) -> Iterator:
    yield 1


def _generator(self) -> Generator[int, None, None]:
    yield 1


def _any_generator(self) -> Generator[int, None, Any]:
    yield 1


def _returning(self) -> Generator[int, str, Point]:
    yield 1
    return Point(x=1)


def _unhinted_generator(self):
    yield 1


async def _async_iterator(self) -> AsyncIterator[int]:
    yield 1


async def _async(self) -> int:
    return 1


@functools.wraps(_iterator)
def _wrapped(*args: Any) -> Any:
    return _iterator(*args)


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (_nothing, (type(None), None, False)),
        (_unhinted, (Any, None, False)),
        (_number, (int, None, False)),
        (_async, (int, None, False)),
        (_returns_iterator, (list[int], int, True)),
        (_iterator, (list[int], int, True)),
        (_wrapped, (list[int], int, True)),
        (_iterable, (list[Point], Point, True)),
        (_bare_iterator, (list[Any], Any, True)),
        (_generator, (list[int], int, True)),
        (_any_generator, (list[int], int, True)),
        (_returning, (Point, int, False)),
        (_unhinted_generator, (list[Any], Any, True)),
        (_async_iterator, (list[int], int, True)),
    ],
)
def test_the_output_type_is_the_return_hint(func, expected):
    assert return_hints(func) == expected


def test_a_generator_that_promises_no_iteration_is_refused():
    def scan(self) -> int:  # type: ignore
        yield 1

    with pytest.raises(AffordanceDefinitionError, match=r"scan: it yields values"):
        return_hints(scan)
