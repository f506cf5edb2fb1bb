"""The JSON of all messages to clients, in both vocabularies."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic_core import from_json, to_json

from labthings_fastapi.actions.rendering import InvocationUrls
from labthings_fastapi.exceptions import InvocationNotFoundError

from .draft_problems import in_words_of_the_draft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labthings_fastapi.messages.message import Message
    from labthings_fastapi.problems import Problem

    from .requests import Members, Request
    from .socket_state import SocketState

GAP = "labthings:gap"
READING_FAILED = "labthings:readingfailed"
EXTENSION = "labthings:"
"""The names of our operations begin with this, so that they differ from those of the draft."""
_VALUE_MEMBERS = {"property": "value", "event": "data"}


@dataclass(slots=True)
class Response:
    """The status, as in HTTP, and the members of a response; those in `raw` are JSON already."""

    status: int = 200
    members: Members = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)


def encode_response(request: Request, response: Response) -> str:
    """Encode the response to a request."""
    members = {
        "messageType": "response",
        "operation": request.operation,
        **_thing_id(request),
        **repeated_members(request.members, "name"),
        **_new_id(),
        **response.members,
    }
    return _encode(members, response.raw)


def encode_error(message: Mapping[str, Any], problem: Problem, thing_id: str | None) -> str:
    """Encode the error response to a message of the Web Thing Protocol.

    Without `thing_id`, the response repeats the `thingID` of the message.
    """
    told = in_words_of_the_draft(problem).members()
    members = {
        "messageType": "response",
        **repeated_members(message, "operation", "thingID", "name"),
        **({} if thing_id is None else {"thingID": thing_id}),
        **_new_id(),
        "error": {name: value for name, value in told.items() if name != "values"},
    }
    if "values" in told:  # of those properties that could be read
        members["values"] = told["values"]
    return _encode(members)


def encode_legacy_error(message: Mapping[str, Any], problem: Mapping[str, Any]) -> str:
    """Encode the error response to a legacy message."""
    correlation = {name: message[name] for name in ("correlationID",) if name in message}
    return _encode({"messageType": "error", "data": problem, **correlation})


def repeated_members(message: Mapping[str, Any], *names: str) -> Members:
    """Return the members that a response or notification repeats, if they are valid.

    Without a `correlationID`, the `messageID` of the request takes its place.
    """
    members = {name: message[name] for name in names if isinstance(message.get(name), str)}
    for source in ("correlationID", "messageID"):
        value = message.get(source)
        if isinstance(value, str | int) and not isinstance(value, bool):
            members["correlationID"] = value
            break
    return members


class NotificationEncoder:
    """Encodes messages of the broker as notifications of one subscription.

    A notification of our own operations also has the kind, the Thing and the invocation.
    """

    def __init__(self, state: SocketState, request: Request) -> None:
        """Encode for the subscription that `request` begins."""
        self._state = state
        self._number = state.ids.new_subscription()
        self._operation = request.operation
        self._head = {**_thing_id(request), **repeated_members(request.members)}

    def __call__(self, message: Message) -> str:
        """Encode one message."""
        members: Members = {
            "messageType": "notification",
            "operation": self._operation,
            **self._head,
            "messageID": self._state.ids.id_of(message, self._number),
            "seq": message.seq,
            "timestamp": message.time.isoformat(),
        }
        if message.kind == "gap":
            members |= {"operation": GAP, "subscription": self._operation}
            return _encode({**members, **from_json(message.payload)})
        members["name"] = message.affordance
        members.setdefault("thingID", self._state.id_of(message.thing))
        if message.kind == "reading-failed" and not self._operation.startswith(EXTENSION):
            members |= {"operation": READING_FAILED, "subscription": self._operation}
            return _encode({**members, **from_json(message.payload)})
        if not self._operation.startswith(EXTENSION):
            if message.kind == "event" and self._state.is_without_data(message):
                return _encode(members)
            return _encode(members, {_VALUE_MEMBERS[message.kind]: message.payload})
        members |= {"kind": message.kind, "thing": message.thing}
        if message.invocation is not None:
            members["actionID"] = str(message.invocation)
        data = _with_members(message.payload, _final_members(message, self._state))
        return _encode(members, {"data": data})


class LegacyEncoder:
    """Encodes messages of the broker as `propertyStatus`, `actionStatus` and `gap`."""

    def __init__(self, state: SocketState) -> None:
        """Encode for any subscription."""
        self._state = state

    def __call__(self, message: Message) -> str:
        """Encode one message."""
        kind, data = "gap", message.payload
        if message.kind == "property":
            kind, data = "propertyStatus", _with_members(b"{}", {message.affordance: data})
        elif message.kind == "reading-failed":
            problem = to_json(from_json(message.payload)["error"])
            kind, data = "propertyError", _with_members(b"{}", {message.affordance: problem})
        elif message.kind != "gap":
            status = self._status(message)
            kind, data = "actionStatus", _with_members(b"{}", {message.affordance: status})
        members = {
            "messageType": kind,
            "seq": message.seq,
            "thing": message.thing,
            "timestamp": message.time.isoformat(),
        }
        return _encode(members, {"data": data})

    def _status(self, message: Message) -> bytes:
        id = str(message.invocation)
        if message.kind == "status":
            final = _final_members(message, self._state)
            return _with_members(message.payload, {"invocationId": to_json(id), **final})
        href = f"{self._state.prefix}/action_invocations/{id}"
        members = {"status": "running", "id": id, "invocationId": id, "href": href}
        return to_json({**members, **from_json(message.payload)})


def _final_members(message: Message, state: SocketState) -> dict[str, bytes]:
    """Return progress and output of an invocation, which its final status message lacks."""
    if not message.final:
        return {}
    try:
        invocation = state.manager.get_invocation(message.invocation)  # type: ignore[arg-type]
    except InvocationNotFoundError:
        return {}  # expired since; the journal has it
    record = invocation.snapshot()
    members = {"progress": to_json(record.percent, inf_nan_mode="strings")}
    if not record.output:
        return members
    return {**members, "output": InvocationUrls(prefix=state.prefix).links(record.output)}


def _thing_id(request: Request) -> Members:
    return {} if request.thing_id is None else {"thingID": request.thing_id}


def _new_id() -> Members:
    return {"messageID": str(uuid4()), "timestamp": datetime.now(UTC).isoformat()}


def _encode(members: Mapping[str, Any], raw: Mapping[str, bytes] | None = None) -> str:
    return _with_members(to_json(members, inf_nan_mode="strings"), raw or {}).decode()


def _with_members(json: bytes, raw: Mapping[str, bytes]) -> bytes:
    """Add members, which are JSON already, to a JSON object."""
    if not raw:
        return json
    parts = b",".join(b"%b:%b" % (to_json(name), value) for name, value in raw.items())
    return json[:-1] + (b"" if json == b"{}" else b",") + parts + b"}"
