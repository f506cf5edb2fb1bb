"""Wake a coroutine from any thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any


class Doorbell:
    """A flag that any thread may raise and one event loop waits for.

    Made on the loop that waits. Many rings before the coroutine runs cost one wake-up of the loop.
    """

    def __init__(self) -> None:
        """Bind to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the waiting coroutine; any thread; never blocks; harmless once the loop is gone."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            # The loop has closed: nobody is listening any more.
            return

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for a ring and reset; False when `timeout` seconds passed without one."""
        if timeout is None:
            await self._event.wait()
        else:
            try:
                async with asyncio.timeout(timeout):
                    await self._event.wait()
            except TimeoutError:
                return False
        self._event.clear()
        return True


async def outcome(future: Future[Any]) -> Any:
    """Await a future that a thread will resolve; a finished one costs no turn of the loop."""
    if future.done():
        return future.result()
    return await asyncio.wrap_future(future)
