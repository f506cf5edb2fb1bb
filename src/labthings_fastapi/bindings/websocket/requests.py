"""The messages of clients: requests of the Web Thing Protocol, and legacy messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic_core import from_json

from labthings_fastapi.exceptions import (
    InvocationNotFoundError,
    MalformedBodyError,
    RequestError,
    UnsupportedMediaTypeError,
)
from labthings_fastapi.schemas.json_text import LARGE, check_budget, defect

from .subscriptions import MAX_SUBSCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labthings_fastapi.bindings.interaction.things import ThingInteraction

MAX_ID_CHARACTERS = 200
"""The longest `messageID` or `correlationID`, because each notification repeats it."""
_JSON_TYPES = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}

Members = dict[str, Any]


def read_message(text: str | None) -> Members:
    """Return the JSON object in a text frame; None stands for a binary frame.

    Raises:
        UnsupportedMediaTypeError: the frame is binary.
        BodyTooLargeError: it has more items or members than are parsed at once.
        MalformedBodyError: the text is not JSON, or nested too deeply.
        RequestError: the JSON is not an object, or an id in it is too long.
    """
    if text is None:
        raise UnsupportedMediaTypeError("The message is binary: send JSON in a text message.")
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) > LARGE:
        check_budget(encoded, "The message")
    try:
        members = from_json(text)
        wrong = defect(encoded)
    except ValueError as error:
        raise MalformedBodyError(f"The message is not JSON: {error}.") from error
    if wrong is not None:
        raise MalformedBodyError(f"The message is not JSON: {wrong}.")
    if not isinstance(members, dict):
        json_type = _JSON_TYPES.get(type(members), "a number")
        raise RequestError(
            f"The message is {json_type}: send a JSON object with the member 'messageType'."
        )
    for name in ("correlationID", "messageID"):
        value = members.get(name)
        if isinstance(value, str) and len(value) > MAX_ID_CHARACTERS:
            raise RequestError(
                f"{name!r} has {len(value)} characters: use at most {MAX_ID_CHARACTERS}, for "
                "example a UUID."
            )
    return members


def observed_names(members: Mapping[str, Any]) -> list[str]:
    """Return the names of affordances in a legacy message, without duplicates.

    Raises:
        RequestError: there are no names, or more than a socket may have subscriptions.
    """
    kind, data = members["messageType"], members.get("data")
    listed = [data] if isinstance(data, str) else data
    if (
        not isinstance(listed, dict | list)
        or not listed
        or not all(isinstance(name, str) and name for name in listed)
    ):
        raise RequestError(
            f"'data' of {kind!r} must name properties or actions, as "
            '{"name": true}, ["name"] or "name".'
        )
    names = list(dict.fromkeys(listed))
    if len(names) > MAX_SUBSCRIPTIONS:
        raise RequestError(
            f"'data' of {kind!r} names {len(names)} affordances; a socket may have "
            f"{MAX_SUBSCRIPTIONS} subscriptions at most."
        )
    return names


def text_member(members: Mapping[str, Any], name: str) -> str:
    """Return a member that must be a text with at least one character.

    Raises:
        RequestError: the member is missing, empty or of another type.
    """
    value = members.get(name)
    if not isinstance(value, str) or not value:
        actual = repr(value)[:80] if name in members else "missing"
        raise RequestError(f"The member {name!r} of the message must be a text; it is {actual}.")
    return value


@dataclass(frozen=True, slots=True)
class Request:
    """A message of type `request`, or one observation of a legacy message."""

    operation: str
    members: Mapping[str, Any]
    target: ThingInteraction | None
    """The Thing that the request names; None for one that names no Thing."""
    thing_id: str | None
    """The id of the Thing in its description."""

    @property
    def thing(self) -> ThingInteraction:
        """The Thing that the request names.

        Raises:
            RequestError: the request names none.
        """
        if self.target is None:
            raise RequestError(
                f"{self.operation!r} needs a Thing, and this socket serves all Things: add the "
                "member 'thingID' with the id, the name or the path of the Thing."
            )
        return self.target

    @property
    def name(self) -> str:
        """The name of the affordance, or `RequestError`."""
        return text_member(self.members, "name")

    @property
    def last_notification_id(self) -> str | None:
        """The id of the last notification that the client has received."""
        if self.members.get("lastNotificationID") is None:
            return None
        return text_member(self.members, "lastNotificationID")

    @property
    def invocation_id(self) -> UUID:
        """The id of the invocation in `actionID`, or `InvocationNotFoundError`."""
        text = text_member(self.members, "actionID")
        try:
            return UUID(text)
        except ValueError as error:
            raise InvocationNotFoundError(text[:80]) from error

    def value(self, member: str) -> Any:
        """Return a member that is required and may be null.

        Raises:
            RequestError: the member is missing.
        """
        if member not in self.members:
            raise RequestError(f"{self.operation!r} needs the member {member!r}.")
        return self.members[member]
