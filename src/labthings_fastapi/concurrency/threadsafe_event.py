"""Wake a coroutine from any thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any


class ThreadsafeEvent:
    """A flag that any thread may raise and one coroutine waits for.

    Made on the loop that waits. Many rings before the coroutine runs are answered once.
    """

    def __init__(self) -> None:
        """Bind to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._rung = False
        # A future for each wait: streams wait for each message, and `asyncio.timeout` around an
        # Event would be a third of their work.
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake the waiting coroutine; any thread; never blocks; harmless once the loop is gone."""
        try:
            self._loop.call_soon_threadsafe(self._note_ring)
        except RuntimeError:
            # The loop has closed: nobody is listening any more.
            return

    def _note_ring(self) -> None:
        self._rung = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for a ring and reset; False when `timeout` seconds passed without one."""
        if not self._rung:
            self._waiter = self._loop.create_future()
            timer = None if timeout is None else self._loop.call_later(timeout, self._wake)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        rung, self._rung = self._rung, False
        return rung


async def outcome(future: Future[Any]) -> Any:
    """Await a future that a thread will resolve; a finished one costs no turn of the loop.

    Whoever stops waiting leaves the future as it is.
    """
    if not future.done():
        # Half the work of `asyncio.wrap_future`, which hands a cancel on: each run passes here.
        bell = ThreadsafeEvent()
        future.add_done_callback(lambda _done: bell.ring())
        await bell.wait()
    return future.result()
