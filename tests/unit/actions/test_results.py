"""What a generator action yields is kept, counted and told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.actions.context import raise_if_cancelled
from labthings_fastapi.actions.results import InvocationResults
from labthings_fastapi.decorators import action
from labthings_fastapi.exceptions import InvocationCancelledError
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.thing import Thing

if TYPE_CHECKING:
    from labthings_fastapi.actions import ActionManager, Invocation


def test_the_newest_are_kept_and_all_are_counted() -> None:
    results, told = InvocationResults(2), []
    results.listener = lambda *what: told.append(what)
    for number in range(3):
        results.add(number, b"%d" % number)
    assert results.values() == [1, 2]
    assert results.json() == b"[1,2]"
    assert results.count == 3
    assert told == [(1, 0, b"0"), (2, 1, b"1"), (3, 2, b"2")]


def test_without_results_there_is_an_empty_list() -> None:
    assert InvocationResults().json() == b"[]"
    assert InvocationResults().values() == []


class Scanner(Thing):
    """Yields in every way."""

    def __init__(self) -> None:
        """Note what becomes of its generators."""
        super().__init__()
        self.notes: list[str] = []
        self.first = threading.Event()

    @action
    def points(self, n: int) -> Iterator[int]:
        """Yield whole numbers."""
        yield from range(n)

    @action
    def summed(self, n: int) -> Generator[int, None, str]:
        """Yield, then sum up."""
        total = 0
        for number in range(n):
            total += number
            yield number
        return f"sum {total}"

    @action
    def wrong(self) -> Iterator[int]:
        """Break the hint at the second value."""
        try:
            yield 1
            yield "two"  # type: ignore[misc]
        finally:
            self.notes.append("closed")

    @action
    def endless(self) -> Iterator[int]:
        """Yield until cancelled."""
        try:
            while True:
                yield 1
                self.first.set()
        except InvocationCancelledError:
            self.notes.append("cancelled at the yield")
            raise

    @action
    def stubborn(self) -> Iterator[int]:
        """Take a cancel as advice, and finish."""
        try:
            while True:
                yield 1
                self.first.set()
        except InvocationCancelledError:
            yield 2

    @action
    async def async_points(self, n: int) -> AsyncIterator[int]:
        """Yield without ever waiting."""
        for number in range(n):
            yield number

    @action
    async def async_endless(self) -> AsyncIterator[int]:
        """Yield for ever without ever waiting."""
        try:
            while True:
                yield 1
                self.first.set()
        except asyncio.CancelledError:
            self.notes.append("cancelled at the yield")
            raise

    @action
    async def async_waiting(self) -> AsyncIterator[int]:
        """Wait for ever between two values."""
        try:
            yield 1
            self.first.set()
            await asyncio.Event().wait()
            yield 2
        finally:
            self.notes.append("closed")

    @action
    async def async_failing(self) -> AsyncIterator[int]:
        """Fail after a value."""
        yield 1
        raise ZeroDivisionError

    @action
    def sleepless(self) -> Iterator[int]:
        """Fail after a value."""
        yield 1
        raise_if_cancelled()
        raise SystemExit(2)


@pytest.fixture
def scanner() -> Scanner:
    """Give a Thing that yields."""
    return Scanner()


def ended(manager: ActionManager, scanner: Scanner, name: str, **given: Any) -> Invocation:
    descriptor = scanner.actions[name]
    invocation = manager.invoke_action(descriptor, scanner, input=descriptor.input_model(**given))
    invocation.join(30)
    assert not invocation.is_alive()
    return invocation


def cancelled(manager: ActionManager, scanner: Scanner, name: str) -> Invocation:
    invocation = manager.invoke_action(scanner.actions[name], scanner)
    assert scanner.first.wait(30)
    invocation.cancel()
    invocation.join(30)
    assert not invocation.is_alive()
    return invocation


@pytest.mark.parametrize("name", ["points", "async_points"])
def test_the_output_is_the_list_of_the_values(
    manager: ActionManager, scanner: Scanner, name: str
) -> None:
    invocation = ended(manager, scanner, name, n=3)
    assert invocation.output == [0, 1, 2]
    assert invocation.results == [0, 1, 2]
    assert invocation.record.output == b"[0,1,2]"


@pytest.mark.parametrize("name", ["points", "async_points"])
def test_no_value_makes_an_empty_list(manager: ActionManager, scanner: Scanner, name: str) -> None:
    invocation = ended(manager, scanner, name, n=0)
    assert (invocation.output, invocation.status) == ([], InvocationStatus.COMPLETED)


def test_a_return_value_that_the_hint_names_is_the_output(
    manager: ActionManager, scanner: Scanner
) -> None:
    invocation = ended(manager, scanner, "summed", n=4)
    assert invocation.output == "sum 6"
    assert invocation.results == [0, 1, 2, 3]


def test_a_value_that_breaks_the_hint_ends_the_run_and_closes_the_generator(
    manager: ActionManager, scanner: Scanner
) -> None:
    invocation = ended(manager, scanner, "wrong")
    assert invocation.status is InvocationStatus.ERROR
    assert "yielded a value of type 'str'" in str(invocation.exception)
    assert invocation.results == [1]
    assert scanner.notes == ["closed"]


@pytest.mark.parametrize("name", ["endless", "async_endless"])
def test_a_cancel_arrives_at_the_yield(manager: ActionManager, scanner: Scanner, name: str) -> None:
    invocation = cancelled(manager, scanner, name)
    assert invocation.status is InvocationStatus.CANCELLED
    assert invocation.output is None
    assert scanner.notes == ["cancelled at the yield"]


def test_a_cancel_ends_an_async_generator_that_waits(
    manager: ActionManager, scanner: Scanner
) -> None:
    invocation = cancelled(manager, scanner, "async_waiting")
    assert invocation.status is InvocationStatus.CANCELLED
    assert scanner.notes == ["closed"]


def test_a_generator_that_finishes_all_the_same_is_completed(
    manager: ActionManager, scanner: Scanner
) -> None:
    invocation = cancelled(manager, scanner, "stubborn")
    assert invocation.status is InvocationStatus.COMPLETED
    assert invocation.output[-1] == 2
    assert invocation.record.cancel_requested


@pytest.mark.parametrize(
    ("name", "error"), [("async_failing", ZeroDivisionError), ("sleepless", SystemExit)]
)
def test_a_generator_that_fails_keeps_its_results(
    manager: ActionManager, scanner: Scanner, name: str, error: type[BaseException]
) -> None:
    invocation = ended(manager, scanner, name)
    assert invocation.status is InvocationStatus.ERROR
    assert isinstance(invocation.exception, error)
    assert invocation.results == [1]
