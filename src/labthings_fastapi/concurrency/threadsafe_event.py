"""Wake a coroutine from any thread."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any


class ThreadsafeEvent:
    """An auto-reset event: any thread sets it, one coroutine waits for it.

    Create it on the event loop of the waiting coroutine. The flag is changed on that loop only.
    """

    def __init__(self) -> None:
        """Bind to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._is_set = False
        # A plain future for each wait: `asyncio.timeout` around an `asyncio.Event` would cost a
        # third of the work for each message of a stream.
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake the waiting coroutine. Any thread; never blocks; does nothing on a closed loop."""
        try:
            self._loop.call_soon_threadsafe(self._set)
        except RuntimeError:
            return  # the loop has closed, so no coroutine waits

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

        def wake(_future: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop has closed, so no coroutine waits
                loop.call_soon_threadsafe(_resolve, waiter)

        future.add_done_callback(wake)
        await waiter
    return future.result()


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # it was not cancelled
        waiter.set_result(None)
