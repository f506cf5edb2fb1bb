"""The text of frames: read with care, and written from JSON that is there already."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from labthings_fastapi.exceptions import MalformedBodyError, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FRAME_BYTES = 1024 * 1024
"""The largest message that a client may send."""

Members = dict[str, Any]


def read_frame(text: str) -> Members:
    """Return the JSON object that a client sent.

    Raises:
        MalformedBodyError: it is not JSON, or too deep.
        RequestError: it is JSON, but no object.
    """
    try:
        found = from_json(text)
    except ValueError as error:
        raise MalformedBodyError(f"The message is not JSON that can be read: {error}.") from error
    if not isinstance(found, dict):
        raise RequestError(
            f"The message is {_what(found)}, but must be a JSON object with a 'messageType'."
        )
    return found


def _what(found: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(found), "a number")


def text_in(members: Mapping[str, Any], name: str) -> str:
    """Return a member that must be text.

    Raises:
        RequestError: it is missing, or something else.
    """
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise RequestError(
            f"The message has no member {name!r} with text: it is "
            f"{'missing' if name not in members else repr(value)[:80]}."
        )
    return value


def written(members: Mapping[str, Any], raw: Mapping[str, bytes] | None = None) -> str:
    """Write an object; the `raw` members are JSON already."""
    text = to_json(members, inf_nan_mode="strings")
    if raw:
        parts = b",".join(b"%b:%b" % (to_json(name), json) for name, json in raw.items())
        text = text[:-1] + (b"," if members else b"") + parts + b"}"
    return text.decode()


def now() -> str:
    """Return the time for a message that answers."""
    return datetime.now(UTC).isoformat()
