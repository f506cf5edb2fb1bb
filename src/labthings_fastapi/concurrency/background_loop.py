"""An event loop beside the server's, for a library that must not delay the server."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from .threadsafe_event import ThreadsafeEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class BackgroundLoop:
    """Runs one coroutine on its own event loop, in a daemon thread; any thread may call."""

    def __init__(
        self, name: str, main: Callable[[ThreadsafeEvent], Coroutine[Any, Any, None]]
    ) -> None:
        """Run `main(event)` in a thread of this name; `wake()` sets the event.

        `main` must look for work before it waits for the event, and must not raise.
        """
        self._main = main
        self._event: ThreadsafeEvent | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._run_main())

    async def _run_main(self) -> None:
        self._event = ThreadsafeEvent()
        await self._main(self._event)

    def wake(self) -> None:
        """Wake the coroutine; never blocks."""
        # Without an event, `main` has not started: it will look for work by itself.
        if self._event is not None:
            self._event.set()

    def join(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the end of the coroutine; True if it has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()
