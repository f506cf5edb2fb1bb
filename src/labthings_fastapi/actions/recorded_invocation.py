"""An invocation that is no longer in memory, known from its record in the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from labthings_fastapi.exceptions import InvocationNotFoundError
from labthings_fastapi.journal.reader import JournalReader
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.thing_description.paths import thing_path

from .invocation import Invocation
from .results import InvocationFiles


class Invocations(Protocol):
    """All invocations of a server, as HTTP endpoints use them: an `ActionManager`."""

    prefix: str
    broker: Broker
    records: JournalReader

    def get_invocation(self, id: UUID) -> Invocation: ...
    def newest(
        self, wanted: Callable[[Invocation], bool], limit: int | None, before: UUID | None
    ) -> list[Invocation]: ...


class RecordedInvocation:
    """An invocation of which only the record is left; immutable."""

    response_timeout = 0.0
    commit = None
    output: Any = None

    def __init__(self, record: InvocationRecord) -> None:
        self.record = record
        self.id = record.id
        self.files = InvocationFiles()

    def snapshot(self, *, log: bool = False) -> InvocationRecord:  # noqa: ARG002
        return self.record

    def cancel(self) -> bool:
        return False

    def on_end(self, waiter: Callable[[], None]) -> Callable[[], None]:
        waiter()
        return lambda: None


KnownInvocation: TypeAlias = Invocation | RecordedInvocation
"""An invocation that a client knows."""


async def find_invocation(
    manager: Invocations, id: UUID, prefix: str = "", *, expired: bool = False
) -> KnownInvocation:
    """Return an invocation in memory or, from the journal, one of an earlier start of the server.

    With `expired`, also one of this start whose retention time has passed.
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
