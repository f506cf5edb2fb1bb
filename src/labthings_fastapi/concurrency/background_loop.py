"""An event loop beside the server's, for a library that must neither delay it nor be delayed."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from .threadsafe_event import ThreadsafeEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class BackgroundLoop:
    """Runs one coroutine on a loop of its own, in a daemon thread; any thread may call."""

    def __init__(
        self, name: str, main: Callable[[ThreadsafeEvent], Coroutine[Any, Any, None]]
    ) -> None:
        """Start `main` in a thread of this name; it is given the bell that `ring` rings.

        It must look at what it is to do before it waits for the bell, and must not raise.
        """
        self._main = main
        self._bell: ThreadsafeEvent | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._bell = ThreadsafeEvent()
        await self._main(self._bell)

    def ring(self) -> None:
        """Wake the coroutine; never blocks."""
        # Before there is a bell, the coroutine has not looked yet.
        if self._bell is not None:
            self._bell.ring()

    def join(self, timeout: float) -> bool:
        """Wait for the end of the coroutine, so many seconds; tell whether it has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()
