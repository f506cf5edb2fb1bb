"""A Thing whose actions do what a test wants, and ways to run them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.actions import ActionManager, Invocation
from labthings_fastapi.decorators import action
from labthings_fastapi.thing import Thing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Bench(Thing):
    """A Thing of which a test says what it does."""

    def __init__(self) -> None:
        """Do nothing yet."""
        super().__init__()
        self.code: Callable[[], Any] = lambda: None
        self.entered = threading.Event()
        self.gate = threading.Event()

    @action
    def call(self) -> Any:
        """Run the test's code."""
        return self.code()

    @action
    def add(self, a: int, b: int = 1) -> int:
        """Add two numbers."""
        return a + b

    @action
    def hold(self) -> str:
        """Wait until the test opens the gate."""
        self.entered.set()
        self.gate.wait(60)
        return "held"


@pytest.fixture
def thing() -> Iterator[Bench]:
    """Give a Thing; its gate is open when the test is over, so that no thread stays."""
    bench = Bench()
    yield bench
    bench.gate.set()


@pytest.fixture
def manager() -> ActionManager:
    """Give a manager of its own."""
    return ActionManager()


@pytest.fixture
def begin(thing: Bench, manager: ActionManager) -> Callable[..., Invocation]:
    """Start a run of the given code and return it at once."""

    def begun(code: Callable[[], Any]) -> Invocation:
        thing.code = code
        return manager.invoke_action(Bench.call, thing)

    return begun


@pytest.fixture
def run(begin: Callable[..., Invocation]) -> Callable[..., Invocation]:
    """Run the given code to its end."""

    def finished(code: Callable[[], Any]) -> Invocation:
        invocation = begin(code)
        invocation.join(30)
        assert not invocation.is_alive()
        return invocation

    return finished


@pytest.fixture
def holding(thing: Bench, manager: ActionManager) -> Invocation:
    """Give a run that is in progress until the test opens `thing.gate`."""
    invocation = manager.invoke_action(Bench.hold, thing)
    assert thing.entered.wait(30)
    return invocation


@pytest.fixture
def _no_other_handlers() -> Iterator[None]:
    """Keep hostile records from pytest's own handlers, which raise what they cannot format."""

    def nothing(_record: logging.LogRecord) -> bool:
        return False

    handlers = list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(nothing)
    yield
    for handler in handlers:
        handler.removeFilter(nothing)


def failure(text: str = "jammed") -> tuple[Any, ...]:
    """Return what a log record keeps of an exception that was raised."""
    try:
        raise ValueError(text)
    except ValueError as error:
        return (ValueError, error, error.__traceback__)
