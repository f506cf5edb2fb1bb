"""What invocations report: records for the journal, messages for subscribers."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from labthings_fastapi.messages.message import Message

from .invocation_log import line_payload
from .rendering import InvocationUrls, status_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.journal.journal import Journal
    from labthings_fastapi.journal.record import InvocationRecord
    from labthings_fastapi.messages.broker import Broker

    from .invocation_log import Line
    from .progress import Progress

_STATUS_BYTES, _LINE_BYTES = 400, 200
"""About how many bytes of JSON a change of status, and a line of a log beside its text, take."""


class InvocationPublisher:
    """Reports of all invocations of one manager. Any thread may use it; nothing here blocks.

    The methods that take a record are called under the invocation's lock, so that messages have
    the order of the changes; `deliver` is called after it.
    """

    def __init__(
        self,
        broker: Broker,
        journal: Callable[[], Journal],
        ended: Callable[[InvocationRecord], None],
    ) -> None:
        """Publish with `broker`; `journal` returns the journal in use at that moment.

        `ended` is called once for each invocation, with its final record and without its lock.
        """
        self._broker = broker
        self._journal = journal
        self.ended = ended
        self.urls = InvocationUrls()
        """The URLs in messages, which are relative references."""

    @property
    def boot_id(self) -> str:
        """Which start of the server runs the invocations."""
        return self._broker.boot_id

    def record(self, record: InvocationRecord) -> Future[None]:
        """Put a record in the journal; the future is done when it is committed."""
        try:
            return self._journal().put(record.for_journal())
        except Exception as error:  # noqa: BLE001 - it counts as a journal that cannot write
            failed: Future[None] = Future()
            failed.set_exception(error)
            return failed

    def status(self, record: InvocationRecord) -> None:
        """Report a change of status."""
        # Subscribers see no output; a large one must not stay in the replay buffer.
        shown = record if record.output is None else record._replace(output=None)
        size = _STATUS_BYTES + (2 * _STATUS_BYTES if record.error else 0)
        self._put("status", record, partial(status_json, shown, self.urls), size)

    def line(self, record: InvocationRecord, line: Line) -> None:
        """Report a line of the log."""
        self._put("log", record, line_payload(line), _LINE_BYTES + len(line[0]))

    def progress(self, record: InvocationRecord, progress: Progress) -> None:
        """Report how far the invocation is."""
        members = {"progress": progress.percent, "progressDetail": progress.detail()}
        self._put("progress", record, to_json(members, inf_nan_mode="strings"))

    def result(self, record: InvocationRecord, number: int, value: Any, json: bytes) -> None:
        """Report a value that a generator yielded."""
        self._put("result", record, b'{"number":%d,"value":%b}' % (number, json), value=value)

    def _put(
        self,
        kind: Any,
        record: InvocationRecord,
        payload: bytes | Callable[[], bytes],
        size: int | None = None,
        value: Any = None,
    ) -> None:
        final = kind == "status" and not record.is_open
        self._broker.put(
            Message(kind, record.thing, record.action, payload, value, record.id, final, size=size)
        )

    def deliver(self) -> None:
        """Deliver what was reported; called without a lock."""
        self._broker.deliver_soon()
