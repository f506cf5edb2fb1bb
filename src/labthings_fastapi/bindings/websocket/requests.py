"""One request of a client, in the words of the Web Thing Protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from labthings_fastapi.exceptions import InvocationNotFoundError, RequestError

from .frames import Members, now, text_in, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labthings_fastapi.bindings.interaction.things import ThingInteraction


MAX_ID_CHARACTERS = 200


@dataclass(slots=True)
class Answer:
    """What a request is answered with: members, those that are JSON already, and HTTP's status."""

    status: int = 200
    members: Members = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A message of type `request`; `used` is the Thing that it concerns, if it concerns one."""

    operation: str
    members: Mapping[str, Any]
    used: ThingInteraction | None
    label: str | None
    """The `thingID`, as this client writes it."""

    @property
    def thing(self) -> ThingInteraction:
        """The Thing.

        Raises:
            RequestError: the message does not say which.
        """
        if self.used is None:
            raise RequestError(
                f"{self.operation!r} concerns one Thing, and this socket is that of the whole "
                "server: add the member 'thingID' with the Thing's id, name or path."
            )
        return self.used

    @property
    def name(self) -> str:
        """The name of the affordance; an error if there is none."""
        return text_in(self.members, "name")

    @property
    def after(self) -> str | None:
        """The id of the last notification that the client has seen."""
        if self.members.get("lastNotificationID") is None:
            return None
        return text_in(self.members, "lastNotificationID")

    @property
    def invocation_id(self) -> UUID:
        """The id of a run."""
        text = text_in(self.members, "actionID")
        try:
            return UUID(text)
        except ValueError as error:
            raise InvocationNotFoundError(text[:80]) from error

    def value(self, member: str) -> Any:
        """Return a member that must be there, be it null.

        Raises:
            RequestError: it is missing.
        """
        if member not in self.members:
            raise RequestError(f"{self.operation!r} needs the member {member!r}.")
        return self.members[member]

    def head(self, name: bool = True) -> Members:
        """Return what an answer or a notification repeats of the request."""
        return {
            **({"thingID": self.label} if self.label is not None else {}),
            **repeated(self.members, "name" if name else ""),
        }

    def response(self, answer: Answer) -> str:
        """Write the answer."""
        return _response(self.operation, self.head(), answer)


def repeated(members: Mapping[str, Any], *names: str) -> Members:
    """Return the members of a message that its answer repeats, where they make sense.

    Without a `correlationID`, a client knows the answer by the `messageID` of its request.
    """
    found = {name: members[name] for name in names if isinstance(members.get(name), str)}
    for source in ("correlationID", "messageID"):
        value = members.get(source)
        if isinstance(value, str | int) and not isinstance(value, bool):
            found["correlationID"] = value
            break
    return found


def check_ids(members: Mapping[str, Any]) -> None:
    """Refuse ids that would make every notification of a subscription longer than its news.

    Raises:
        RequestError: one is too long.
    """
    for name in ("correlationID", "messageID"):
        value = members.get(name)
        if isinstance(value, str) and len(value) > MAX_ID_CHARACTERS:
            raise RequestError(
                f"The {name!r} of the message has {len(value)} characters, but is repeated in what "
                f"answers it: use at most {MAX_ID_CHARACTERS}, a UUID for example."
            )


def refusal(members: Mapping[str, Any], problem: Mapping[str, Any]) -> str:
    """Write the answer to a request that failed, as far as it could be read."""
    operation = members.get("operation")
    head = repeated(members, "thingID", "name")
    answer = Answer(members={"error": problem})
    return _response(operation if isinstance(operation, str) else None, head, answer)


def _response(operation: str | None, head: Members, answer: Answer) -> str:
    members = {
        "messageType": "response",
        **({"operation": operation} if operation is not None else {}),
        **head,
        "messageID": str(uuid4()),
        "timestamp": now(),
        **answer.members,
    }
    return written(members, answer.raw)
