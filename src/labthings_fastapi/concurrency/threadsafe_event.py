"""Wake a coroutine from any thread."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Any


class _LoopCalls:
    """Calls to be made on an event loop, from any thread.

    `loop.call_soon_threadsafe` writes to a socket for each call, and lets another thread run
    meanwhile. Here the first of many calls does that for all.
    """

    __slots__ = ("_calls", "_loop", "_scheduled")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._calls: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def add(self, call: Callable[[], None]) -> None:
        """Call it soon; do nothing on a closed loop."""
        self._calls.append(call)
        # `_run` clears the flag before it looks at the calls, so no call is left.
        if not self._scheduled:
            self._scheduled = True
            loop = self._loop()
            if loop is not None:
                with suppress(RuntimeError):  # it has closed, so no coroutine waits
                    loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        self._scheduled = False
        while self._calls:
            self._calls.popleft()()


_loop_calls: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopCalls] = WeakKeyDictionary()


def _calls_on(loop: asyncio.AbstractEventLoop) -> _LoopCalls:
    """Return the calls of a loop; for its own thread, which alone makes its entry."""
    calls = _loop_calls.get(loop)
    if calls is None:
        calls = _loop_calls[loop] = _LoopCalls(loop)
    return calls


class ThreadsafeEvent:
    """An auto-reset event: any thread sets it, one coroutine waits for it.

    Create it on the event loop of the waiting coroutine. The flag is changed on that loop only.
    """

    def __init__(self) -> None:
        """Bind to the running event loop."""
        self._loop = loop = asyncio.get_running_loop()
        self._calls = _calls_on(loop)
        self._is_set = False
        # A plain future for each wait: `asyncio.timeout` around an `asyncio.Event` would cost a
        # third of the work for each message of a stream.
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake the waiting coroutine. Any thread; never blocks; does nothing on a closed loop."""
        self._calls.add(self._set)

    def _set(self) -> None:
        self._is_set = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set, then reset it; False after `timeout` seconds."""
        if not self._is_set:
            self._waiter = self._loop.create_future()
            timer = None if timeout is None else self._loop.call_later(timeout, self._wake)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        was_set, self._is_set = self._is_set, False
        return was_set


async def wait_for_future(future: Future[Any]) -> Any:
    """Return the result of a future that another thread resolves.

    Unlike with `asyncio.wrap_future`, cancelling this wait does not cancel the future, so several
    coroutines may wait for the same one.
    """
    if not future.done():
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        calls, resolve = _calls_on(loop), partial(_resolve, waiter)
        future.add_done_callback(lambda _future: calls.add(resolve))
        await waiter
    return future.result()


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # it was not cancelled
        waiter.set_result(None)
