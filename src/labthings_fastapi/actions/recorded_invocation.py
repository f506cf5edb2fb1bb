"""A run of an earlier life of the server, told from its record as it was told when it lived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.exceptions import InvocationNotFoundError
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.thing_description.paths import thing_path

from .committed_state import CommittedState
from .files import InvocationFiles
from .lifecycle import InvocationState
from .progress import percent_done

if TYPE_CHECKING:
    from uuid import UUID

    from labthings_fastapi.journal.record import InvocationRecord

    from .invocation import Invocation
    from .invocation_collection import Invocations


class RecordedInvocation:
    """What can be read of a run that is not live any more; looks like an `Invocation`.

    Immutable, so any thread may use it.
    """

    response_timeout = 0.0
    commit = None
    log_dropped = 0

    def __init__(self, record: InvocationRecord, prefix: str = "") -> None:
        """Tell what `record` has; `prefix` is the server's `api_prefix`."""
        self.id = record.id
        self.thing_name = record.thing
        self.action_name = record.action
        self.action_path = f"{thing_path(record.thing, prefix)}{record.action}"
        self.input_json = record.input
        self.log = list(record.log)
        self.progress_detail = record.progress
        self.output_reference = record.output_reference
        self.files = InvocationFiles()
        self.committed = CommittedState(_state(record))

    @property
    def status(self) -> InvocationStatus:
        """How it ended."""
        return self.committed.state.status

    @property
    def progress(self) -> float | None:
        """Percent done when it ended; None when unknown."""
        found = self.progress_detail or {}
        done, total = found.get("done"), found.get("total")
        if not isinstance(done, int | float) or not isinstance(total, int | float):
            return None
        return percent_done(done, total)

    def cancel(self) -> bool:
        """Do nothing: it has ended."""
        return False


def _state(record: InvocationRecord) -> InvocationState:
    return InvocationState(
        status=record.status,
        phase="finished",
        requested=record.time_requested,
        started=record.time_started,
        ended=record.time_ended,
        output_json=record.output,
        problem=record.error,
        cancel_requested=record.status is InvocationStatus.CANCELLED,
    )


async def find_invocation(
    manager: Invocations, id: UUID, prefix: str = "", *, expired: bool = False
) -> Invocation | RecordedInvocation:
    """Return a live run or, from the journal, one of an earlier life of the server.

    With `expired`, also one of this life whose retention has passed.

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
        return RecordedInvocation(record, prefix)
