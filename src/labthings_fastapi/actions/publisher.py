"""What invocations report: records for the journal, messages for subscribers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from pydantic_core import to_json

from labthings_fastapi.journal.journal import Journal
from labthings_fastapi.journal.part import InvocationPart
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.outputs.kept import KeptOutputs

from .invocation_log import Line, line_payload, line_time
from .progress import Progress
from .rendering import InvocationUrls, status_json
from .saver import InvocationSaver

_STATUS_BYTES, _LINE_BYTES = 400, 200  # about; of a line beside its text


class InvocationPublisher:
    """Reports of all invocations of one manager. Any thread may use it; nothing here blocks.

    What takes a record is called under the lock of its invocation, so that messages have the order
    of the changes; `deliver` is called without it.
    """

    def __init__(
        self,
        broker: Broker,
        journal: Callable[[], Journal],
        ended: Callable[[InvocationRecord], None],
    ) -> None:
        self._put = broker.put
        self._journal = journal  # the one in use at the moment
        self.deliver = broker.deliver_soon
        self.boot_id = broker.boot_id
        self.ended = ended  # called once for each invocation, without its lock
        self.saver = InvocationSaver(self.part)
        self.urls = InvocationUrls()  # in messages: relative references

    def record(self, record: InvocationRecord) -> Future[None]:
        """Put a record in the journal; the future is done when it is committed."""
        try:
            return self._journal().put(record if record.output is None else record.for_journal())
        except Exception as error:  # noqa: BLE001 - it counts as a journal that cannot write
            return _failed(error)

    def outputs(self) -> KeptOutputs | None:
        """Return where files and large outputs stay; None if they go with their invocation."""
        return self._journal().outputs

    def part(self, part: InvocationPart) -> Future[None]:
        """Add to the record of an open invocation."""
        try:
            return self._journal().put_part(part)
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(error)

    def status(self, record: InvocationRecord) -> None:
        # A large output must not stay in the replay buffer.
        shown = record if record.output is None else record._replace(output=None)
        self._put(
            Message(
                *("status", record.thing, record.action, partial(status_json, shown, self.urls)),
                invocation=record.id,
                final=not record.is_open,
                size=_STATUS_BYTES if record.error is None else 3 * _STATUS_BYTES,
            )
        )

    def line(self, record: InvocationRecord, line: Line) -> None:
        self._put(
            Message(
                *("log", record.thing, record.action, line_payload(line)),
                invocation=record.id,
                time=line_time(line),
                size=_LINE_BYTES + len(line[0]),
            )
        )

    def progress(self, record: InvocationRecord, progress: Progress) -> None:
        members = {"progress": progress.percent, "progressDetail": progress.detail()}
        payload = to_json(members, inf_nan_mode="strings")
        self._put(Message("progress", record.thing, record.action, payload, invocation=record.id))

    def result(self, record: InvocationRecord, number: int, value: Any, json: bytes) -> None:
        payload = b'{"number":%d,"value":%b}' % (number, self.urls.links(json))
        self._put(
            Message("result", record.thing, record.action, payload, value, invocation=record.id)
        )


def _failed(error: Exception) -> Future[None]:
    failed: Future[None] = Future()
    failed.set_exception(error)
    return failed
