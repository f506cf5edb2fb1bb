"""Which parameters FastAPI fills, and not the client."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Annotated, Any, get_type_hints

import pytest
from fastapi import BackgroundTasks, Depends, Request, Response

from labthings_fastapi.dependencies.invocation import CancelHook, InvocationLogger
from labthings_fastapi.descriptors.injection import injected_parameters


def something() -> int:
    return 1


class OwnRequest(Request):
    """A subclass counts as what it is derived from."""


def injected(func) -> list[str]:
    return list(injected_parameters(func, get_type_hints(func, include_extras=True)))


def one(self, a: Annotated[int, Depends(something)]): ...
def two(self, a: int = Depends(something)): ...
def three(self, a: Request, b: Response, c: BackgroundTasks, d: OwnRequest): ...
def four(self, a: int, b: Annotated[int, "a note"], c=3, **rest: Any): ...
def five(self, a: InvocationLogger, b: CancelHook, c: int = 1): ...


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (one, ["a"]),
        (two, ["a"]),
        (three, ["a", "b", "c", "d"]),
        (four, []),
        (five, ["a", "b"]),
    ],
)
def test_dependencies_are_distinguished_from_arguments(func, expected):
    assert injected(func) == expected


def test_hints_come_resolved():
    found = injected_parameters(one, get_type_hints(one, include_extras=True))
    assert isinstance(found["a"], inspect.Parameter)
    assert found["a"].annotation == Annotated[int, found["a"].annotation.__metadata__[0]]


def test_the_first_parameter_is_the_thing_whatever_its_hint():
    def odd(request: Request, n: int): ...

    assert injected_parameters(odd, {"request": Request, "n": int}) == {}


def test_it_does_not_load_fastapi_to_look():
    program = (
        "import sys\n"
        "from labthings_fastapi.descriptors.injection import injected_parameters\n"
        "def func(self, n: int): ...\n"
        "print(injected_parameters(func, {'n': int}), 'fastapi' in sys.modules)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert finished.stdout == "{} False\n"
