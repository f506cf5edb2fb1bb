"""RFC 9457 problem details: the one table from errors to HTTP status, type and title.

No web framework is imported, so an invocation without a server has its error as a problem as well.
"""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from labthings_fastapi import exceptions as errors

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:labthings:problem:"
RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as clients get it (RFC 9457, section 3).

    `extra` has extension members; `headers` are headers of the response, and not in the body.
    """

    status: int
    type: str
    title: str
    detail: Any
    """A text, except where code of a laboratory has raised something else for its clients."""
    instance: str | None = None
    errors: tuple[dict[str, Any], ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def members(self) -> dict[str, Any]:
        """Return the members of the JSON object, without those that have no value."""
        members: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.instance is not None:
            members["instance"] = self.instance
        if self.errors:
            members["errors"] = list(self.errors)
        return members | self.extra

    def at(self, path: str) -> Problem:
        """Return the problem with the path of the request as its `instance`, if it has none."""
        return self if self.instance is not None else replace(self, instance=path)

    def body(self) -> bytes:
        """Return the problem as JSON; text that is not valid Unicode is escaped."""
        return json.dumps(self.members(), separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True, slots=True)
class _Kind:
    status: int
    slug: str
    title: str


_TABLE: dict[type[BaseException], _Kind] = {
    errors.MalformedBodyError: _Kind(400, "malformed-body", "The body is not valid JSON"),
    errors.RequestError: _Kind(400, "bad-request", "The request cannot be read"),
    errors.NotAllowedError: _Kind(403, "not-allowed", "The role does not allow this"),
    errors.InvocationNotFoundError: _Kind(404, "invocation-not-found", "No such invocation"),
    errors.ThingNotFoundError: _Kind(404, "thing-not-found", "No such Thing"),
    errors.AffordanceNotFoundError: _Kind(404, "affordance-not-found", "No such affordance"),
    errors.ReadOnlyPropertyError: _Kind(405, "read-only", "The property cannot be written"),
    errors.BlobIncompleteError: _Kind(409, "upload-incomplete", "The upload is not complete"),
    errors.InvocationFinishedError: _Kind(
        409, "already-finished", "The invocation has already finished"
    ),
    errors.NoOutputError: _Kind(409, "no-output", "The invocation ended without an output"),
    errors.ActionBusyError: _Kind(409, "busy", "The action is busy"),
    errors.GlobalLockBusyError: _Kind(409, "locked", "Another task holds the global lock"),
    errors.BodyTooLargeError: _Kind(413, "too-large", "The body is too large"),
    errors.UnsupportedMediaTypeError: _Kind(415, "media-type", "The media type is not accepted"),
    errors.IdempotencyKeyError: _Kind(422, "idempotency-key", "The key belongs to another request"),
    errors.ValueNotSavableError: _Kind(422, "not-savable", "The value cannot be saved"),
    errors.InvocationCancelledError: _Kind(500, "cancelled", "The invocation was cancelled"),
    errors.InvocationError: _Kind(500, "action-failed", "The action failed"),
    errors.InvalidReturnValueError: _Kind(
        500, "output-mismatch", "The output does not have the return type"
    ),
    errors.InvalidReadingError: _Kind(
        500, "invalid-reading", "The reading does not have the property's type"
    ),
    errors.UnserialisableValueError: _Kind(500, "unserialisable", "The value has no JSON form"),
    errors.SettingsWriteError: _Kind(500, "settings-not-saved", "The setting could not be saved"),
    errors.JournalWriteError: _Kind(507, "not-recorded", "The journal cannot record this"),
    errors.OutputSpaceError: _Kind(507, "no-space", "No space left to store this"),
    errors.OutputNotReadyError: _Kind(503, "not-finished", "The invocation has not finished"),
    errors.FolderInUseError: _Kind(503, "folder-in-use", "Another server uses the settings folder"),
    errors.ServerNotRunningError: _Kind(503, "not-running", "The server is not running"),
    errors.ThingStartError: _Kind(503, "not-started", "The Thing could not be opened"),
    errors.ThingNotOpenError: _Kind(503, "not-open", "The Thing is not open"),
    errors.ThingNotConnectedError: _Kind(503, "not-connected", "A Thing is not connected"),
    errors.ThingBusyError: _Kind(503, "thing-busy", "The Thing does one thing at a time"),
    errors.TooBusyError: _Kind(503, "too-busy", "The server is overloaded"),
}
_FAILURE = _Kind(500, "failure", "The code of the Thing failed")
_NO_SPACE = _Kind(507, "no-space", "No space left to store this")
_NO_SPACE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


def well_formed(text: str) -> str:
    r"""Return a text that UTF-8 can encode: half a surrogate pair is written as in `\udc00`.

    Messages of exceptions of user code are sent as JSON, and that must not fail. The result is a
    plain `str`, because the methods of a subclass may do anything.
    """
    if type(text) is not str:
        text = str.__str__(text)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _is_no_space(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _NO_SPACE_ERRNOS:
        return True
    return isinstance(error, errors.SettingsWriteError) and (
        error.__cause__ is not None and _is_no_space(error.__cause__)
    )


def _kind_of(error: BaseException) -> _Kind:
    if _is_no_space(error):
        return _NO_SPACE
    for base in type(error).__mro__:
        if base in _TABLE:
            return _TABLE[base]
    return _FAILURE


def status_of(error: BaseException) -> int:
    """Return the HTTP status for an error."""
    return _kind_of(error).status


def problem_from(error: BaseException, *, instance: str | None = None, **extra: Any) -> Problem:
    """Return the problem for an exception; one that is not in the table has status 500."""
    kind = _kind_of(error)
    is_own = kind is not _FAILURE and isinstance(
        error, (errors.LabThingsError, errors.InvocationCancelledError)
    )
    detail = errors.describe_exception(error)
    if is_own:  # without the name of the class
        detail = detail.partition(": ")[2] or kind.title
    detail = well_formed(detail)
    return Problem(
        kind.status if kind is not _FAILURE else _own_status(error),
        TYPE_PREFIX + kind.slug,
        kind.title,
        detail,
        instance,
        extra=extra,
        headers=_headers_of(kind.status),
    )


def _own_status(error: BaseException) -> int:
    """Return the `status_code` of an exception, as those of FastAPI have it; 500 without one."""
    status: Any = getattr(error, "status_code", None)
    if not isinstance(status, int) or not 400 <= status <= 599:
        return _FAILURE.status
    return int(status)


def _headers_of(status: int) -> dict[str, str]:
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else {}


def problem_for_status(status: int, detail: Any = None, **members: Any) -> Problem:
    """Return the problem for an HTTP status without an exception (RFC 9457, section 4.2.1)."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = f"Status {status}"  # endpoints of users may send a status of no standard
    return Problem(status, "about:blank", phrase, detail or phrase, **members)


MOST_ERRORS: Final = 100
"""So many errors of one value are reported; the first of them says how many there are."""


def validation_problem(
    validation_errors: list[dict[str, Any]], subject: str, *, instance: str | None = None
) -> Problem:
    """Return the problem for errors of pydantic; `loc`, `msg` and `type` of each are kept.

    The detail begins with `subject`, as in "Property 'speed' of Thing 'stage'".
    """
    number = len(validation_errors)
    listed = tuple(
        {"loc": list(item["loc"]), "msg": str(item["msg"]), "type": str(item["type"])}
        for item in validation_errors[:MOST_ERRORS]
    )
    first = listed[0] if listed else {"loc": [], "msg": "invalid"}
    location = ".".join(str(part) for part in first["loc"])
    summary = f"{subject}: {location + ': ' if location else ''}{first['msg']}"
    if number > 1:
        summary += f" (and {number - 1} more)"
    return Problem(
        422, TYPE_PREFIX + "validation", "The value is not valid", summary, instance, errors=listed
    )


def not_authenticated(detail: str) -> Problem:
    """Refuse a client without a valid credential."""
    return message_problem("not-authenticated", "Not authenticated", 401, detail)


def message_problem(slug: str, title: str, status: int, detail: str, **extra: Any) -> Problem:
    """Return a problem without an exception, such as that of an interrupted invocation."""
    return Problem(
        status, TYPE_PREFIX + slug, title, detail, extra=extra, headers=_headers_of(status)
    )
