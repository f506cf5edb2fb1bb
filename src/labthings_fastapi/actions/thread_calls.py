"""Calls of code that runs in a Thing's own thread, in the context of the caller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from labthings_fastapi.concurrency.own_thread import OwnThread
from labthings_fastapi.exceptions import ActionBusyError, LabThingsError

from .context import current_invocation
from .logs import thing_log
from .waiting import CALLER, CHECK_SECONDS, caller

T = TypeVar("T")


class ThreadBusyError(LabThingsError, TimeoutError):
    """The own thread of a Thing did not begin a call in time."""


class _Link:
    """One own thread that waits for the code that runs now."""

    def __init__(self, thread: OwnThread, name: str, before: _Link | None) -> None:
        self.thread = thread
        self.name = name
        self.before = before


_CHAIN: ContextVar[_Link | None] = ContextVar("labthings_own_threads", default=None)
"""The own thread in which this code runs, or which has started it, and those that wait for it."""


def call_in_thread(
    thread: OwnThread,
    name: str,
    function: Callable[..., T],
    arguments: tuple[Any, ...],
    patience: float | None = None,
) -> T:
    """Call a function in the own thread of the Thing `name`, in a copy of the caller's context.

    The caller waits; until the call has begun, this is a cancellation point.

    Raises:
        ActionBusyError: that thread waits for the caller.
        ThreadBusyError: it did not begin the call within `patience` seconds.
    """
    if thread.is_current():
        return function(*arguments)
    _refuse_circle(thread, name)
    context = copy_context()
    context.run(CALLER.set, caller())
    context.run(_CHAIN.set, _Link(thread, name, _CHAIN.get()))
    call = _Call(thread, name, patience)
    result: T = call.result(lambda: context.run(function, *arguments))
    return result


def _refuse_circle(thread: OwnThread, name: str) -> None:
    link = latest = _CHAIN.get()
    if latest is None or not latest.thread.is_current():
        return  # nobody waits in that thread for this code: another thread runs it
    names = [name]
    while link is not None:
        names.append(link.name)
        if link.thread is thread:
            raise ActionBusyError(
                f"Thing {latest.name!r} cannot call Thing {name!r} here, because it would wait for "
                f"ever: each has a thread of its own, and they call one another in a circle "
                f"({' → '.join(reversed(names))}). Call in one direction only."
            )
        link = link.before


class _Call:
    """The caller's side of one call; used by the calling thread, woken by any."""

    def __init__(self, thread: OwnThread, name: str, patience: float | None) -> None:
        self._thread = thread
        self._name = name
        self._ends = None if patience is None else time.monotonic() + patience
        self._awake = threading.Event()
        self._began = time.monotonic()
        self._told = False

    def result(self, work: Callable[[], Any]) -> Any:
        invocation = current_invocation()
        future = self._submit(work)
        forget = invocation.cancel.listen(self._awake.set) if invocation else lambda: None
        try:
            while not future.done():
                self._awake.wait(CHECK_SECONDS if future.running() else self._left())
                self._awake.clear()
                if future.done() or future.running():
                    continue
                if self._ends is not None and self._left() <= 0 and future.cancel():
                    raise ThreadBusyError(f"The own thread of Thing {self._name!r} is busy.")
                if invocation is not None and invocation.cancel.is_set() and future.cancel():
                    invocation.cancel.raise_if_set()
                    future = self._submit(work)  # it was delivered to another thread
                else:
                    self._tell()
            return future.result()
        finally:
            forget()

    def _submit(self, work: Callable[[], Any]) -> Future[Any]:
        future = self._thread.submit(self._name, work)
        future.add_done_callback(lambda _: self._awake.set())
        return future

    def _left(self) -> float:
        left = CHECK_SECONDS if self._ends is None else self._ends - time.monotonic()
        return min(max(left, 0), CHECK_SECONDS)

    def _tell(self) -> None:
        if not self._told and time.monotonic() - self._began >= CHECK_SECONDS:
            self._told = True
            thing_log(self._name).warning(
                "A call of Thing %r in thread %r waits: the Thing's own thread is busy with other "
                "code of the same caller. If that code waits for this thread, both wait for ever: "
                "make the call in the Thing's own thread.",
                self._name,
                threading.current_thread().name,
            )
