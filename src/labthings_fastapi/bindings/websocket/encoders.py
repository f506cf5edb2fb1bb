"""How what happened is written for a socket, in each of the vocabularies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from labthings_fastapi.exceptions import InvocationNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.messages.message import Message

    from .socket_state import SocketState

GAP = "labthings:gap"
_VALUE_MEMBERS = {"property": b'"value":', "event": b'"data":'}


class NotificationWriter:
    """Writes notifications of the Web Thing Protocol, and of our extensions to it.

    `head` are the members that are the same in all of them, `number` tells the subscription from
    others of its socket. An `extension` says of each message what it is and whence it comes.
    """

    def __init__(
        self,
        served: SocketState,
        operation: str,
        head: dict[str, Any],
        number: int,
        *,
        extension: bool = False,
    ) -> None:
        """Write for one subscription."""
        self._served = served
        self._number = number
        self._extension = extension
        self._names_thing = "thingID" in head
        self._gap_head = _opened(
            {"messageType": "notification", "operation": GAP, "subscription": operation, **head}
        )
        self._head = _opened({"messageType": "notification", "operation": operation, **head})

    def __call__(self, message: Message) -> str:
        """Write one message."""
        stamp = b'"messageID":"%b","seq":%b,"timestamp":"%b",' % (
            self._served.ids.write(message, self._number).encode(),
            to_json(message.seq),
            message.time.isoformat().encode(),
        )
        if message.kind == "gap":
            return (self._gap_head + stamp + message.payload[1:]).decode()
        origin = b'"name":%b,' % to_json(message.affordance)
        if not self._names_thing:
            origin += b'"thingID":%b,' % to_json(self._served.id_of(message.thing))
        if not self._extension:
            origin += _VALUE_MEMBERS[message.kind]
            return (self._head + stamp + origin + message.payload + b"}").decode()
        origin += b'"kind":"%b","thing":%b,' % (message.kind.encode(), to_json(message.thing))
        if message.invocation is not None:
            origin += b'"actionID":"%b",' % str(message.invocation).encode()
        return (self._head + stamp + origin + b'"data":' + self._data(message) + b"}").decode()

    def _data(self, message: Message) -> bytes:
        if not message.final:
            return message.payload
        return message.payload[:-1] + _ending(message, self._served) + b"}"


def _opened(members: dict[str, Any]) -> bytes:
    """Write an object that goes on: without its closing brace."""
    return to_json(members)[:-1] + b","


def _ending(message: Message, served: SocketState) -> bytes:
    """Write what is known of a run that has ended, and not in the news of its state."""
    try:
        invocation = served.manager.get_invocation(message.invocation)  # type: ignore[arg-type]
    except InvocationNotFoundError:
        return b""  # it has expired since: the journal has it
    record = invocation.snapshot()
    progress = to_json(record.percent, inf_nan_mode="strings")
    output = record.output
    return b',"progress":%b%b' % (progress, b',"output":%b' % output if output else b"")


class LabThingsWriter:
    """Writes `propertyStatus` and `actionStatus`, which are the same for every socket.

    The last text is kept, because as a rule all subscribers are told of one message in turn.
    """

    def __init__(self, served: SocketState) -> None:
        """Write for all sockets of a server."""
        self._served = served
        self._last: tuple[Message, str] | None = None

    def property_status(self, message: Message) -> str:
        """Write a new value."""
        return self._once(message, self._property_status)

    def action_status(self, message: Message) -> str:
        """Write a change of a run, or how far it is."""
        return self._once(message, self._action_status)

    def _once(self, message: Message, write: Callable[[Message], bytes]) -> str:
        last = self._last
        if last is not None and last[0] is message:
            return last[1]
        if message.kind == "gap":  # each subscriber has its own
            return self._envelope("gap", message, message.payload).decode()
        text = write(message).decode()
        self._last = message, text
        return text

    def _property_status(self, message: Message) -> bytes:
        data = b"{%b:%b}" % (to_json(message.affordance), message.payload)
        return self._envelope("propertyStatus", message, data)

    def _action_status(self, message: Message) -> bytes:
        id = str(message.invocation)
        if message.kind == "status":
            ending = _ending(message, self._served) if message.final else b""
            state = b'%b,"invocationId":"%b"%b}' % (message.payload[:-1], id.encode(), ending)
        else:
            href = f"{self._served.prefix}/action_invocations/{id}"
            known = {"status": "running", "id": id, "invocationId": id, "href": href}
            state = _opened(known) + message.payload[1:]
        data = b"{%b:%b}" % (to_json(message.affordance), state)
        return self._envelope("actionStatus", message, data)

    def _envelope(self, kind: str, message: Message, data: bytes) -> bytes:
        return b'{"messageType":"%b","data":%b,"seq":%b,"thing":%b,"timestamp":"%b"}' % (
            kind.encode(),
            data,
            to_json(message.seq),
            to_json(message.thing),
            message.time.isoformat().encode(),
        )
