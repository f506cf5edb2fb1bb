"""The lines that one run logs, as messages: written when somebody reads them, as few do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from labthings_fastapi.messages.message import Message

from .logs import line_members, record_of

if TYPE_CHECKING:
    from uuid import UUID

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import MessageKind

    from .run_view import RunView

_FRAME = 200
"""About how many bytes of JSON a line takes beside its text."""


class LogLines:
    """Tells a broker of the lines of one run, and writes them; any thread may use it.

    It keeps the names of the run and not the run: the broker remembers lines of runs that are gone.
    """

    __slots__ = ("_broker", "affordance", "invocation", "kind", "thing")

    def __init__(self, run: RunView, broker: Broker) -> None:
        """Publish what `run` logs in `broker`."""
        self._broker = broker
        self.kind: MessageKind = "log"
        self.thing = run.thing_name
        self.affordance = run.action_name
        self.invocation: UUID | None = run.id

    def publish(self, members: dict[str, Any]) -> None:
        """Tell of a line, given as the members of its settled record."""
        traceback = members["exc_text"]
        size = _FRAME + len(members["msg"]) + (len(traceback) if traceback else 0)
        self._broker.publish_draft(self, members, size)

    def write(self, content: dict[str, Any]) -> Message:
        """Return the message that says what the `LogRecordModel` of a line says."""
        members = line_members(record_of(content))
        return Message(
            self.kind,
            self.thing,
            self.affordance,
            to_json(members),
            invocation=self.invocation,
            time=members["created"],
        )
