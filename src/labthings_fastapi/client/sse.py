"""Read `text/event-stream`, without I/O, by the HTML standard, section 9.2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event as a client sees it; `id` is what a `Last-Event-ID` header would say after it."""

    event: str = "message"
    data: str = ""
    id: str = ""


class EventParser:
    """Turns the bytes of a stream into events, however they are cut into chunks.

    Only CR, LF and CRLF end a line; `str.splitlines` would also cut at characters that JSON may
    contain. For one thread at a time.
    """

    def __init__(self) -> None:
        self.last_event_id = ""
        """What to send as `Last-Event-ID` on reconnecting; empty: send none."""
        self.retry: int | None = None
        """The milliseconds to wait before reconnecting, if the server named them."""
        self._pieces: list[bytes] = []  # the beginning of a line that has not ended yet
        self._after_cr = False  # the next chunk may begin with the LF of a CRLF
        self._at_start = True
        self._id = ""
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take the next bytes of the stream; return the events that they complete."""
        if not chunk:
            return []
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        first, *others = _LINE_END.split(chunk)
        self._pieces.append(first)
        events: list[ServerSentEvent] = []
        for piece in others:
            line = b"".join(self._pieces).decode("utf-8", "replace")
            self._pieces = [piece]
            event = self.feed_line(line)
            if event is not None:
                events.append(event)
        return events

    def feed_line(self, line: str) -> ServerSentEvent | None:
        """Take one line without its end; return the event that it completes."""
        if self._at_start:
            self._at_start = False
            line = line.removeprefix("\ufeff")
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        self._set(field, value.removeprefix(" "))
        return None

    def _set(self, field: str, value: str) -> None:
        match field:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if re.fullmatch("[0-9]{1,9}", value):
                self.retry = int(value)
            case _:
                pass  # a comment (no name), or a field of a later standard

    def _dispatch(self) -> ServerSentEvent | None:
        self.last_event_id = self._id
        event, data = self._event or "message", self._data
        self._event, self._data = "", []
        return ServerSentEvent(event, "\n".join(data), self._id) if data else None


def parse(lines: Iterable[str]) -> Iterator[ServerSentEvent]:
    """Yield the events of a stream that was already cut into lines; see `EventParser`."""
    parser = EventParser()
    for line in lines:
        event = parser.feed_line(line)
        if event is not None:
            yield event
