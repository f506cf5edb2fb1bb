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

READS_AT_ONCE = 4
READS_WAITING = 1000
PATIENCE = 5.0
"""Seconds that a reader waits for what was handed over: a full disk must not keep it for ever."""


class JournalReader:
    """Reads a journal on threads of its own, which no user code can keep busy.

    Used from one event loop. `journal` gives the one that is in use: it changes when a server
    starts and stops.
    """

    def __init__(self, journal: Callable[[], Journal]) -> None:
        """Start no thread before something is read."""
        self._journal = journal
        self.before: Callable[[], Sequence[Future[None]]] = tuple
        """Hands over what is to be in the journal before anybody looks; called on a thread."""
        self._executor = BoundedExecutor(
            Workers("labthings-journal"),
            "the journal",
            limit=READS_AT_ONCE,
            waiting=READS_WAITING,
        )

    async def ask(self, do: Callable[[Journal], T]) -> T:
        """Return what `do` makes of the journal; it may wait for a disk.

        Raises:
            TooBusyError: too many wait already.
        """
        return await self._executor.run(self._look, do, self._journal())

    def _look(self, do: Callable[[Journal], T], journal: Journal) -> T:
        wait(self.before(), PATIENCE)
        return do(journal)

    async def get(self, id: UUID) -> InvocationRecord | None:
        """Return the record of a run, or None."""
        record = await self.ask(lambda journal: journal.get(id))
        return record if record is not None and record.kind == "run" else None

    def attach_to_app(self, app: App, prefix: str = "") -> None:
        """Add `/journal` to any FastAPI app; its error handlers stay as they are."""
        # Here, so that a journal can be read without a web framework.
        from .routes import attach

        attach(self, app, prefix)
