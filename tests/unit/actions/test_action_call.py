"""Whatever an action returns or raises, its run ends in exactly one final state."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError as FutureCancelledError
from dataclasses import dataclass
from typing import Any

import pytest

from labthings_fastapi.actions import ActionManager, Invocation, InvocationStatus
from labthings_fastapi.actions.action_call import release_tracebacks
from labthings_fastapi.actions.cancellation import CancelEvent
from labthings_fastapi.actions.context import get_invocation_id, raise_if_cancelled
from labthings_fastapi.actions.rendering import InvocationUrls, invocation_json, summary
from labthings_fastapi.decorators import action
from labthings_fastapi.exceptions import (
    InvalidReturnValueError,
    InvocationCancelledError,
    InvocationError,
    UnserialisableValueError,
)
from labthings_fastapi.thing import Thing

from .conftest import Bench

PLACE = InvocationUrls()


class HostileError(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")

    __repr__ = __str__


class StrangeTextError(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307


@dataclass(frozen=True)
class FrozenError(Exception):
    axis: str = "x"


class ClosedError(Exception):
    """Lets nothing be read or written."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise RuntimeError(name)


# Made by the action, because pytest cannot bear the sight of some of them.
RAISED: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("jammed"),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": lambda: StopIteration(5),
    "StopAsyncIteration": StopAsyncIteration,
    "asyncio's CancelledError": asyncio.CancelledError,
    "concurrent's CancelledError": FutureCancelledError,
    "MemoryError": MemoryError,
    "BaseException": lambda: BaseException("bare"),
    "ExceptionGroup": lambda: ExceptionGroup("several", [ValueError("one")]),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("several", [SystemExit(1)]),
    "no text": HostileError,
    "text that is none": StrangeTextError,
    "frozen": FrozenError,
    "closed": ClosedError,
    "bad bytes": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
    "half a surrogate pair": lambda: ValueError("half \ud800"),
    "InvocationError": lambda: InvocationError("anticipated"),
}


def checked(invocation: Invocation) -> dict[str, Any]:
    """See that a run ended as an error and that every view of it can be given."""
    assert invocation.status is InvocationStatus.ERROR
    assert invocation.output is None
    assert invocation.record.output is None
    assert invocation.record.time_ended is not None
    assert invocation_json(invocation.snapshot(log=True), PLACE)
    assert summary(invocation.snapshot(), PLACE)
    assert invocation.response().model_dump_json()
    assert invocation.record.error is not None
    return invocation.record.error


@pytest.mark.usefixtures("_no_other_handlers")
@pytest.mark.parametrize("kind", RAISED)
def test_an_action_that_raises_ends_as_an_error(run: Callable[..., Invocation], kind: str) -> None:
    def code() -> None:
        raise RAISED[kind]()

    assert checked(run(code))["status"] == 500


@pytest.mark.usefixtures("_no_other_handlers")
@pytest.mark.parametrize("kind", RAISED)
def test_an_async_action_that_raises_ends_as_an_error_and_the_next_one_runs(
    run: Callable[..., Invocation], kind: str
) -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise RAISED[kind]()

    async def fine() -> int:
        await asyncio.sleep(0)
        return 5

    checked(run(failing))
    assert run(fine).output == 5


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_task_that_an_action_made_cannot_end_the_things_loop(
    run: Callable[..., Invocation], error: BaseException
) -> None:
    async def inner() -> None:
        raise error

    async def outer() -> None:
        await asyncio.gather(asyncio.create_task(inner()))

    async def fine() -> int:
        return 5

    assert type(error).__name__ in checked(run(outer))["detail"]
    assert run(fine).output == 5


def test_the_problem_names_the_exception_and_the_log_has_its_traceback(
    run: Callable[..., Invocation],
) -> None:
    def code() -> None:
        raise ValueError("jammed")

    invocation = run(code)
    problem = checked(invocation)
    assert problem["detail"] == "ValueError: jammed"
    assert problem["exception"] == "ValueError"
    assert isinstance(invocation.exception, ValueError)
    assert "in code" in (invocation.log[-1].exc_text or "")


def test_an_anticipated_failure_is_one_line(run: Callable[..., Invocation]) -> None:
    def code() -> None:
        raise InvocationError("no sample")

    invocation = run(code)
    assert checked(invocation)["detail"] == "no sample"
    assert invocation.log[-1].exc_text is None


@pytest.mark.usefixtures("_no_other_handlers")
def test_what_the_code_held_is_let_go_after_a_failure(run: Callable[..., Invocation]) -> None:
    class Camera:
        pass

    references: list[weakref.ref[Camera]] = []

    def code() -> None:
        camera = Camera()
        references.append(weakref.ref(camera))
        try:
            raise ValueError("inner")
        except ValueError as error:
            raise RuntimeError("outer") from error

    invocation = run(code)
    gc.collect()
    assert invocation.exception is not None
    assert references[0]() is None


def test_tracebacks_are_dropped_from_circles_and_groups() -> None:
    def caught(error: BaseException) -> BaseException:
        try:
            raise error
        except BaseException as found:  # noqa: BLE001 - to give it a traceback
            return found

    one, other, inner = caught(ValueError()), caught(FrozenError()), caught(KeyError())
    group = ExceptionGroup("several", [inner])  # type: ignore[type-var]
    one.__cause__, group.__context__ = group, one
    one.__context__ = other
    release_tracebacks(one)
    assert [error.__traceback__ for error in (one, other, inner, group)] == [None] * 4


def test_a_cancel_that_was_not_requested_still_counts_as_one(
    run: Callable[..., Invocation],
) -> None:
    def code() -> None:
        raise InvocationCancelledError

    invocation = run(code)
    assert invocation.status is InvocationStatus.CANCELLED
    assert invocation.record.error is not None
    assert invocation.record.error["detail"] == "The run was cancelled."


# --- outputs ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, False, "", [], {}, None, 0.0])
def test_a_falsy_output_is_an_output(run: Callable[..., Invocation], value: Any) -> None:
    invocation = run(lambda: value)
    assert invocation.status is InvocationStatus.COMPLETED
    assert invocation.output == value
    assert invocation.record.output is not None


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    return value


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "make", [deep, circular, object, lambda: "\ud800", lambda: {"\ud800": 1}, threading.Lock]
)
def test_an_output_that_cannot_be_written_is_an_error_that_says_why(
    run: Callable[..., Invocation], make: Callable[[], Any]
) -> None:
    invocation = run(make)
    assert "Bench.call" in checked(invocation)["detail"]
    assert isinstance(invocation.exception, UnserialisableValueError)


def test_numbers_that_json_has_not_are_written_as_words(run: Callable[..., Invocation]) -> None:
    invocation = run(lambda: [float("nan"), {"most": float("-inf")}])
    assert invocation.record.output == b'["NaN",{"most":"-Infinity"}]'


class Promising(Thing):
    """Promises whole numbers."""

    @action
    def wrong(self) -> int:
        """Break the promise."""
        return "five"  # type: ignore[return-value]

    @action
    def nested(self) -> dict[str, list[int]]:
        """Break the promise deep inside."""
        return {"a": [1, "two"]}  # type: ignore[list-item]

    @action
    def lax(self) -> int:
        """Keep the promise, more or less."""
        return "5"  # type: ignore[return-value]

    @action
    async def slow(self) -> int:
        """Keep the promise later."""
        await asyncio.sleep(0)
        return 5


@pytest.mark.parametrize(
    ("name", "parts"),
    [("wrong", ["'str'", "valid integer"]), ("nested", ["'dict'", "a.1", "valid integer"])],
)
def test_an_output_that_breaks_the_return_hint_says_what_and_where(
    manager: ActionManager, name: str, parts: list[str]
) -> None:
    thing = Promising()
    invocation = manager.invoke_action(thing.actions[name], thing)
    invocation.join(30)
    detail = checked(invocation)["detail"]
    assert isinstance(invocation.exception, InvalidReturnValueError)
    for part in [f"Promising.{name}", *parts]:
        assert part in detail


@pytest.mark.parametrize("name", ["lax", "slow"])
def test_an_output_is_given_as_the_hint_has_it(manager: ActionManager, name: str) -> None:
    thing = Promising()
    invocation = manager.invoke_action(thing.actions[name], thing)
    invocation.join(30)
    assert invocation.output == 5


# --- async --------------------------------------------------------------------------------


def test_async_code_knows_its_run_and_has_a_thread_of_its_own(
    run: Callable[..., Invocation],
) -> None:
    async def code() -> list[str]:
        await asyncio.sleep(0)
        return [str(get_invocation_id()), threading.current_thread().name]

    invocation = run(code)
    assert invocation.output == [str(invocation.id), "labthings-loop-Bench"]


def test_a_cancel_cancels_the_task(begin: Callable[..., Invocation]) -> None:
    begun, notes = threading.Event(), []

    async def code() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            notes.append("tidied up")

    invocation = begin(code)
    assert begun.wait(30)
    invocation.cancel()
    invocation.join(30)
    assert invocation.status is InvocationStatus.CANCELLED
    assert notes == ["tidied up"]


def test_async_code_may_also_ask(begin: Callable[..., Invocation]) -> None:
    begun = threading.Event()

    async def code() -> None:
        while True:
            begun.set()
            raise_if_cancelled()
            await asyncio.sleep(0)

    invocation = begin(code)
    assert begun.wait(30)
    invocation.cancel()
    invocation.join(30)
    assert invocation.status is InvocationStatus.CANCELLED


def test_async_code_that_finishes_all_the_same_is_completed(
    begin: Callable[..., Invocation],
) -> None:
    begun = threading.Event()

    async def code() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "finished"
        return "never"

    invocation = begin(code)
    assert begun.wait(30)
    invocation.cancel()
    invocation.join(30)
    assert invocation.output == "finished"


class ToldTwice(CancelEvent):
    """A request that comes when the run begins to listen, which so hears of it twice."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.tidying = threading.Event(), threading.Event()
        self.tidied: Callable[[], object] = int

    def is_set(self) -> bool:
        if isinstance(threading.current_thread(), Invocation) and not self.tidying.is_set():
            assert self.begun.wait(30)
            self.set()
            assert self.tidying.wait(30)
            return True  # as it was when this was asked
        return super().is_set()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        forget = super().listen(listener)
        self.tidied()
        return forget


def test_a_request_that_is_told_twice_does_not_cut_short_how_the_code_tidies_up(
    manager: ActionManager, thing: Bench
) -> None:
    cancel, ended = ToldTwice(), []

    async def code() -> None:
        done, loop = asyncio.Event(), asyncio.get_running_loop()
        # What the run has asked of the loop by then comes first.
        cancel.tidied = lambda: loop.call_soon_threadsafe(done.set)
        loop.call_soon(cancel.begun.set)
        try:
            await asyncio.Event().wait()
        finally:
            cancel.tidying.set()
            await done.wait()
            ended.append("at rest")

    thing.code = code
    invocation = manager.invoke_action(Bench.call, thing, cancel_hook=cancel)
    invocation.join(30)
    assert invocation.status is InvocationStatus.CANCELLED
    assert ended == ["at rest"]


def test_deep_recursion_is_an_error(run: Callable[..., Invocation]) -> None:
    def code(depth: int = 0) -> int:
        return code(depth + 1) + sys.getrecursionlimit()

    assert isinstance(run(code).exception, RecursionError)


class Link(Thing):
    """An async driver: what it opens belongs to the loop on which it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: asyncio.Queue[str]
        self.cleaned: list[str] = []
        self.waiting = threading.Event()

    @action
    async def connect(self) -> None:
        self.answers = asyncio.Queue()
        self.turn = asyncio.Lock()

    @action
    async def ask(self, what: str) -> str:
        async with self.turn:
            asyncio.get_running_loop().call_later(0.001, self.answers.put_nowait, what)
            return await self.answers.get()

    @action
    async def ask_all(self) -> AsyncIterator[str]:
        for what in "abc":
            yield await self.ask(what)

    @action
    async def wait(self) -> None:
        try:
            self.waiting.set()
            await asyncio.Event().wait()
        finally:
            self.cleaned.append(threading.current_thread().name)


class Script(Thing):
    def __init__(self, link: Link) -> None:
        super().__init__()
        self.link = link

    @action
    async def talk(self) -> list[str]:
        found = [value async for value in self.link.ask_all()]
        return [*found, *await asyncio.gather(*(self.link.ask(what) for what in "de"))]

    @action
    async def wait(self) -> None:
        await self.link.wait()


def test_async_actions_of_a_thing_run_on_its_own_loop_whoever_awaits_them() -> None:
    link, manager = Link(), ActionManager()
    script = Script(link)
    assert manager.invoke_action(Link.connect, link).wait(30)
    runs = [manager.invoke_action(Script.talk, script) for _ in range(3)]
    for run in runs:
        run.join(30)
        assert run.output is not None, run.exception
        assert sorted(run.output) == list("abcde")

    async def in_a_task() -> str:
        return await link.ask("outside a run")

    interface = script._thing_server_interface
    assert interface.call_async_task(in_a_task) == "outside a run"


def test_a_cancel_reaches_what_is_awaited_on_another_loop_and_waits_for_its_clean_up() -> None:
    link, manager = Link(), ActionManager()
    run = manager.invoke_action(Script.wait, Script(link))
    assert link.waiting.wait(30)
    run.cancel()
    run.join(30)
    assert run.status is InvocationStatus.CANCELLED
    assert link.cleaned == ["labthings-loop-Link"]
