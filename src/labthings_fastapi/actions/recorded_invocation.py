"""An invocation that is no longer in memory, known from its record in the journal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from labthings_fastapi.exceptions import InvocationNotFoundError
from labthings_fastapi.journal.journal import Journal
from labthings_fastapi.journal.reader import JournalReader
from labthings_fastapi.journal.record import InvocationRecord, interrupted
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.outputs.blob import Blob
from labthings_fastapi.outputs.kept import KeptOutputs
from labthings_fastapi.thing_description.paths import thing_path

from .invocation import Invocation
from .results import InvocationFiles


class Invocations(Protocol):
    """All invocations of a server, as HTTP endpoints use them: an `ActionManager`."""

    prefix: str
    broker: Broker
    records: JournalReader
    has_journal: bool

    def get_invocation(self, id: UUID) -> Invocation: ...
    async def pin(self, id: UUID, *, pinned: bool) -> None: ...
    def newest(
        self, wanted: Callable[[Invocation], bool], limit: int | None, before: UUID | None
    ) -> list[Invocation]: ...


class RecordedInvocation:
    """An invocation of which only the record is left, and what it has on the disk; immutable."""

    response_timeout = 0.0
    commit = None

    def __init__(
        self, record: InvocationRecord, output: Any = None, files: InvocationFiles | None = None
    ) -> None:
        self.record = record
        self.id = record.id
        self.output = output
        self.files = InvocationFiles() if files is None else files

    def snapshot(self, *, log: bool = False) -> InvocationRecord:  # noqa: ARG002
        return self.record

    def cancel(self) -> bool:
        return False

    def on_end(self, waiter: Callable[[], None]) -> Callable[[], None]:
        waiter()
        return lambda: None


KnownInvocation: TypeAlias = Invocation | RecordedInvocation
"""An invocation that a client knows."""


def recorded_invocation(
    journal: Journal, id: UUID, prefix: str, boot_id: str
) -> RecordedInvocation | None:
    """Return an ended invocation from the journal, with its output and files; may wait for a disk.

    One of this start that is open there is in memory, or its end could not be written yet.
    """
    record = journal.get(id)
    if record is None or (record.is_open and record.boot_id == boot_id):
        return None
    if record.is_open:  # the disk has refused to have it marked
        record = interrupted(record, datetime.now(UTC))
    path = f"{thing_path(record.thing, prefix)}{record.action}"
    record, output, directory = record._replace(action_path=path), None, None
    outputs, reference = journal.outputs, record.output_reference or {}
    if outputs is not None:
        directory = outputs.find_files_folder(id)
        output = _kept_blob(outputs, reference)
        large = outputs.output(id) if reference.get("kept") else None
        if large is not None:
            record = record._replace(output=large, output_reference=None)
    return RecordedInvocation(record, output, InvocationFiles(directory=directory))


def _kept_blob(outputs: KeptOutputs, reference: dict[str, Any]) -> Blob | None:
    try:
        data = outputs.find_blob(UUID(str(reference.get("blob"))))
    except ValueError:
        return None
    return None if data is None else Blob(data)


async def find_invocation(
    manager: Invocations, id: UUID, prefix: str = "", *, recorded: bool = False
) -> KnownInvocation:
    """Return an invocation in memory or, if the manager was given a journal, from the journal.

    With `recorded`, also from the memory journal of a manager that was given none.
    """
    try:
        return manager.get_invocation(id)
    except InvocationNotFoundError:
        found = None
        if recorded or manager.has_journal:
            found = await manager.records.read(
                lambda journal: recorded_invocation(journal, id, prefix, manager.broker.boot_id)
            )
        if found is None:
            raise
        return found
