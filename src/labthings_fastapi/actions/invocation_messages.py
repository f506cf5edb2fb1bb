"""What is told of one run, as messages: written when somebody reads them, as few do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from labthings_fastapi.messages.message import Message

from .lifecycle import utc_now
from .log_lines import record_of
from .logs import line_members
from .rendering import status_news

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.messages.message import MessageKind

    from .invocation_view import InvocationView
    from .lifecycle import InvocationState
    from .log_lines import Others
    from .rendering import InvocationUrls

_STATUS = 400
"""About how many bytes of JSON a change of state takes."""
_PROBLEM = 600
"""About how many more it takes to say what went wrong."""


class _InvocationMessages:
    """Keeps the names of a run and not the run: the broker remembers news of runs that are gone."""

    __slots__ = ("affordance", "invocation", "thing")

    kind: MessageKind

    def __init__(self, invocation: InvocationView) -> None:
        """Tell of what happens in `run`."""
        self.thing = invocation.thing_name
        self.affordance = invocation.action_name
        self.invocation: UUID = invocation.id


class LogMessages(_InvocationMessages):
    """Tells a broker of the lines of one run, and writes them; any thread may use it."""

    __slots__ = ("publish",)

    kind: MessageKind = "log"

    def __init__(self, invocation: InvocationView, broker: Broker) -> None:
        """Publish in `broker` what `run` logs."""
        super().__init__(invocation)
        self.publish = broker.publish_draft
        """Tell of a line, which is a draft."""

    def write(self, text: str, others: Others) -> Message:
        """Return the message that says what the `LogRecordModel` of a line says."""
        members = line_members(record_of(text, others))
        return Message(
            self.kind,
            self.thing,
            self.affordance,
            to_json(members),
            invocation=self.invocation,
            time=members["created"],
        )


class StatusMessages(_InvocationMessages):
    """Tells a broker of the states of one run, and writes them; any thread may use it."""

    __slots__ = ("_broker", "_place", "action_path")

    kind: MessageKind = "status"

    def __init__(self, invocation: InvocationView, broker: Broker, place: InvocationUrls) -> None:
        """Publish in `broker` what becomes of `run`, which clients find at `place`."""
        super().__init__(invocation)
        self._broker = broker
        self._place = place
        self.action_path = invocation.action_path

    @property
    def id(self) -> UUID:
        """The id under which clients know the run."""
        return self.invocation

    def publish(self, state: InvocationState, *, journaled: bool) -> None:
        """Tell of a state; `journaled` says whether its record is safe."""
        # An output and an exception are objects of users, and are not told here.
        if state.output is not None or state.output_json or state.exception is not None:
            state = state._replace(output=None, output_json=None, exception=None)
        size = _STATUS + (_PROBLEM if state.problem else 0)
        self._broker.publish_draft((size, self, state, journaled, utc_now()))

    def write(self, state: InvocationState, journaled: bool, time: datetime) -> Message:
        """Return the message that tells of a state."""
        return Message(
            self.kind,
            self.thing,
            self.affordance,
            status_news(self, state, self._place, journaled=journaled),
            invocation=self.invocation,
            final=state.finished,
            time=time,
        )
