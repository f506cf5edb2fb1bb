"""The journal for an event loop, which must not wait for a disk."""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, TypeVar

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from uuid import UUID

    from .journal import Journal
    from .protocols import App
    from .record import InvocationRecord

T = TypeVar("T")

MAX_READS = 4
MAX_WAITING_READS = 1000
FLUSH_SECONDS = 5.0
"""How long a read waits for pending mutations: a full disk must not delay it for ever."""


class JournalReader:
    """Reads a journal on its own threads, which user code cannot block.

    Only one event loop may use it. `journal` returns the journal that is in use: it changes when a
    server starts and stops. `before` is called on a thread before each read; it passes pending
    records to the journal.
    """

    def __init__(self, journal: Callable[[], Journal]) -> None:
        """Start no thread before the first read."""
        self._journal = journal
        self.before: Callable[[], Sequence[Future[None]]] = tuple
        self._executor = BoundedExecutor(
            Workers("labthings-journal"),
            "the journal",
            limit=MAX_READS,
            waiting=MAX_WAITING_READS,
        )

    async def read(self, query: Callable[[Journal], T]) -> T:
        """Return `query(journal)`, called on a thread, where it may wait for a disk.

        Raises:
            TooBusyError: too many reads wait already.
        """
        return await self._executor.run(self._read, query, self._journal())

    def _read(self, query: Callable[[Journal], T], journal: Journal) -> T:
        wait(self.before(), FLUSH_SECONDS)
        return query(journal)

    async def get(self, id: UUID) -> InvocationRecord | None:
        """Return the record of an invocation, or None."""
        return await self.read(lambda journal: journal.get(id))

    def attach_to_app(self, app: App, prefix: str = "") -> None:
        """Add `/journal` to any FastAPI app; its error handlers stay as they are."""
        # Imported here, so that a journal can be read without a web framework.
        from .routes import attach

        attach(self, app, prefix)
