"""An invocation that is no longer in memory, known from its record in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from labthings_fastapi.exceptions import InvocationNotFoundError
from labthings_fastapi.thing_description.paths import thing_path

from .results import InvocationFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from labthings_fastapi.journal.reader import JournalReader
    from labthings_fastapi.journal.record import InvocationRecord
    from labthings_fastapi.messages.broker import Broker

    from .invocation import Invocation
    from .protocols import KnownInvocation


class Invocations(Protocol):
    """All invocations of a server, as HTTP endpoints use them: an `ActionManager`."""

    @property
    def prefix(self) -> str:
        """The beginning of the paths of the endpoints."""

    @property
    def broker(self) -> Broker:
        """Where changes of invocations are published."""

    @property
    def records(self) -> JournalReader:
        """The invocations in the journal, also of earlier starts of the server."""

    def get_invocation(self, id: UUID) -> Invocation:
        """Return the invocation with this id, or raise `InvocationNotFoundError`."""

    def newest(
        self,
        wanted: Callable[[Invocation], bool],
        limit: int | None = None,
        before: UUID | None = None,
    ) -> list[Invocation]:
        """Return the newest invocations that are wanted, newest last."""


class RecordedInvocation:
    """An invocation of which only the record is left. Immutable, so any thread may use it."""

    response_timeout = 0.0
    commit = None
    output: Any = None

    def __init__(self, record: InvocationRecord) -> None:
        """Show this record."""
        self.record = record
        self.id = record.id
        self.files = InvocationFiles()

    def snapshot(self, *, log: bool = False) -> InvocationRecord:  # noqa: ARG002
        """Return the record."""
        return self.record

    def cancel(self) -> bool:
        """Return False: it has ended."""
        return False

    def on_end(self, waiter: Callable[[], None]) -> Callable[[], None]:
        """Call `waiter` at once: it has ended."""
        waiter()
        return lambda: None


async def find_invocation(
    manager: Invocations, id: UUID, prefix: str = "", *, expired: bool = False
) -> KnownInvocation:
    """Return an invocation in memory or, from the journal, one of an earlier start of the server.

    With `expired`, also one of this start whose retention time has passed.

    Raises:
        InvocationNotFoundError: there is neither.
    """
    try:
        return manager.get_invocation(id)
    except InvocationNotFoundError:
        record = await manager.records.get(id)
        ours = record is not None and record.boot_id == manager.broker.boot_id
        if record is None or record.is_open or (ours and not expired):
            raise
        path = f"{thing_path(record.thing, prefix)}{record.action}"
        return RecordedInvocation(record._replace(action_path=path))
