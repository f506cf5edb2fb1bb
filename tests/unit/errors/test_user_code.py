"""Errors that name the place in the code of a Thing."""

from __future__ import annotations

import inspect

import pytest

from labthings_fastapi.exceptions import (
    CausedByUserCodeError,
    InvalidReturnValueError,
    UnserialisableTypeError,
)


class Stage:
    def move(self) -> None: ...


@pytest.mark.parametrize(
    "kind", [CausedByUserCodeError, InvalidReturnValueError, UnserialisableTypeError]
)
def test_the_text_names_the_function_and_its_first_line(kind: type[CausedByUserCodeError]) -> None:
    error = kind("It returned a text.")
    error.set_source_function(Stage.move)

    line = inspect.getsourcelines(Stage.move)[1]
    assert str(error).startswith("It returned a text.")
    assert "Stage.move" in str(error)
    assert f"{__file__}:{line}" in str(error)


def test_the_text_names_the_class_and_its_attribute() -> None:
    error = CausedByUserCodeError("No type.")
    error.set_source_class(Stage)
    assert f"{__name__}.Stage" in str(error)

    error.set_source_class(Stage, "move")
    assert f"{__name__}.Stage.move" in str(error)


@pytest.mark.parametrize("arguments", [(), ("one",), ("one", 2)])
def test_arguments_of_any_number_are_shown(arguments: tuple[object, ...]) -> None:
    error = CausedByUserCodeError(*arguments)
    for argument in arguments:
        assert str(argument) in str(error)

    error.set_source_class(Stage)
    for argument in (*arguments, "Stage"):
        assert str(argument) in str(error)


def test_a_function_written_in_c_has_a_name_and_no_line() -> None:
    error = CausedByUserCodeError("Wrong.")
    error.set_source_function(len)
    assert "len" in str(error)
