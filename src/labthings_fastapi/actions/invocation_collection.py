"""What the web code of this room needs to know of the manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from labthings_fastapi.journal.reader import JournalReader
    from labthings_fastapi.messages.broker import Broker

    from .invocation import Invocation


class Invocations(Protocol):
    """All runs of a server, as its endpoints see them: an `ActionManager`."""

    @property
    def prefix(self) -> str:
        """What comes before the paths of the endpoints."""

    @property
    def broker(self) -> Broker:
        """Where the news of runs are published."""

    @property
    def records(self) -> JournalReader:
        """What the journal has of runs, also of earlier lives of the server."""

    def get_invocation(self, id: UUID) -> Invocation:
        """Return the run with this id, or raise `InvocationNotFoundError`."""

    def newest(
        self,
        wanted: Callable[[Invocation], bool],
        limit: int | None = None,
        before: UUID | None = None,
    ) -> list[Invocation]:
        """Return the newest runs that are wanted, newest last."""
