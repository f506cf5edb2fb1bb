"""Whether a class takes its arguments is found without calling it."""

from __future__ import annotations

from typing import Any

import pytest

import labthings_fastapi as lt
from labthings_fastapi.server.config.validation import argument_error


class Motor(lt.Thing):
    def __init__(self, port: str, *, baud: int = 9600, **kwargs: Any) -> None:
        raise AssertionError("It must not be called.")
        super().__init__(**kwargs)


class Stage(Motor):
    def __init__(self, axes: int = 3, **rest: Any) -> None:
        super().__init__("COM1", **rest)


class Bare(Motor):
    """Has no `__init__` of its own."""


class Greedy(lt.Thing):
    def __init__(self, **options: Any) -> None:
        self.speed = options.get("speed")
        super().__init__(**options)


class Deaf(lt.Thing):
    def __init__(self, **_ignored: Any) -> None:
        super().__init__()


made_at_run_time: dict[str, Any] = {"lt": lt}
exec(  # noqa: S102 - a class whose source cannot be read
    "class Sourceless(lt.Thing):\n"
    "    def __init__(self, **kwargs):\n"
    "        super().__init__(**kwargs)\n",
    made_at_run_time,
)


@pytest.mark.parametrize(
    ("cls", "args", "kwargs"),
    [
        (lt.Thing, [], {}),
        (Motor, ["COM1"], {"baud": 1}),
        (Bare, [], {"port": "COM1"}),
        (Stage, [2], {"baud": 1}),
        (Greedy, [], {"speed": 1}),
        (Deaf, [], {"speed": 1}),
        (made_at_run_time["Sourceless"], [], {"speed": 1}),
    ],
)
def test_what_may_fit_is_let_through(cls, args, kwargs):
    assert argument_error(cls, args, kwargs) is None


@pytest.mark.parametrize(
    ("cls", "args", "kwargs", "message"),
    [
        (
            lt.Thing,
            [1, 2],
            {},
            "Thing(): too many positional arguments",
        ),
        (Motor, [], {}, "missing a required argument: 'port'; parameters: port, baud=9600"),
        (Motor, ["COM1"], {"baut": 1}, "got an unexpected keyword argument 'baut'"),
        (
            Bare,
            ["COM1"],
            {"baut": 1},
            "Bare(): got an unexpected keyword",
        ),
        (
            Stage,
            [],
            {"baut": 1},
            "Stage(): got an unexpected keyword argument 'baut'",
        ),
    ],
)
def test_what_cannot_fit_is_reported_also_for_the_kwargs_of_base_classes(
    cls, args, kwargs, message
):
    assert message in (argument_error(cls, args, kwargs) or "")
