"""RFC 9457 problem details: the one table from errors to HTTP status, type and title.

Pure: no web framework is imported, so runs can carry their error as a problem wherever they live.
"""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from labthings_fastapi import exceptions as errors

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:labthings:problem:"
RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as a client sees it (RFC 9457, section 3).

    `extra` holds extension members; `headers` go with the HTTP answer and not into the body.
    """

    status: int
    type: str
    title: str
    detail: str
    instance: str | None = None
    errors: tuple[dict[str, Any], ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def members(self) -> dict[str, Any]:
        """Return the members of the JSON object; those without a value are left out."""
        found: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.instance is not None:
            found["instance"] = self.instance
        if self.errors:
            found["errors"] = list(self.errors)
        return found | self.extra

    def at(self, path: str) -> Problem:
        """Return the problem with the path of the request as its `instance`, if it has none."""
        return self if self.instance is not None else replace(self, instance=path)

    def body(self) -> bytes:
        """Return the problem as JSON; text that is not valid Unicode is escaped, not refused."""
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
    errors.InvocationFinishedError: _Kind(409, "already-finished", "The run has already finished"),
    errors.NoOutputError: _Kind(409, "no-output", "The run ended without an output"),
    errors.ActionBusyError: _Kind(409, "busy", "The action is busy"),
    errors.GlobalLockBusyError: _Kind(409, "locked", "The server is locked by another task"),
    errors.BodyTooLargeError: _Kind(413, "too-large", "The body is too large"),
    errors.UnsupportedMediaTypeError: _Kind(415, "media-type", "The media type is not accepted"),
    errors.IdempotencyKeyError: _Kind(422, "idempotency-key", "The key stands for another request"),
    errors.InvocationCancelledError: _Kind(500, "cancelled", "The run was cancelled"),
    errors.InvocationError: _Kind(500, "action-failed", "The action failed"),
    errors.OutputMismatchError: _Kind(500, "output-mismatch", "The output breaks the return type"),
    errors.UnserialisableValueError: _Kind(500, "unserialisable", "The value has no JSON form"),
    errors.SettingsWriteError: _Kind(500, "settings-not-saved", "The setting could not be saved"),
    errors.OutputNotReadyError: _Kind(503, "not-finished", "The run has not finished"),
    errors.FolderInUseError: _Kind(503, "folder-in-use", "Another server uses the folder"),
    errors.ServerNotRunningError: _Kind(503, "not-running", "The server is not running"),
    errors.ThingNotConnectedError: _Kind(503, "not-connected", "A Thing is not connected"),
    errors.TooBusyError: _Kind(503, "too-busy", "Too much at once"),
}
_FAILURE = _Kind(500, "failure", "The code of the Thing failed")
_NO_SPACE = _Kind(507, "no-space", "No space left to store this")
_NO_SPACE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


def well_formed(text: str) -> str:
    """Return the text with what UTF-8 cannot hold, halves of surrogate pairs, spelt out.

    What user code says about its failure goes out as JSON; it must not become a failure itself.
    The text is of Python's own type: a class of a user's may do anything in its methods.
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
    """Return the HTTP status that stands for this error."""
    return _kind_of(error).status


def problem_from(error: BaseException, *, instance: str | None = None, **extra: Any) -> Problem:
    """Render any exception as a problem; one that the table does not know is a 500."""
    kind = _kind_of(error)
    known = kind is not _FAILURE and isinstance(
        error, (errors.LabThingsError, errors.InvocationCancelledError)
    )
    detail = errors.describe_exception(error)
    if known:
        detail = detail.partition(": ")[2] or kind.title
    detail = well_formed(detail)
    return Problem(
        kind.status,
        TYPE_PREFIX + kind.slug,
        kind.title,
        detail,
        instance,
        extra=extra,
        headers=_headers_of(kind.status),
    )


def _headers_of(status: int) -> dict[str, str]:
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else {}


def problem_for_status(status: int, detail: str | None = None, **members: Any) -> Problem:
    """Render a bare HTTP status, as routing gives it (RFC 9457, section 4.2.1: `about:blank`)."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = f"Status {status}"  # apps may answer with codes that no standard names
    return Problem(status, "about:blank", phrase, detail or phrase, **members)


def validation_problem(
    found: list[dict[str, Any]], what: str, *, instance: str | None = None
) -> Problem:
    """Render the mistakes that validation found; `loc`, `msg` and `type` of each are kept."""
    listed = tuple(
        {"loc": list(item["loc"]), "msg": str(item["msg"]), "type": str(item["type"])}
        for item in found
    )
    first = listed[0] if listed else {"loc": [], "msg": "invalid"}
    place = ".".join(str(part) for part in first["loc"])
    summary = f"{what}: {place + ': ' if place else ''}{first['msg']}"
    if len(listed) > 1:
        summary += f" (and {len(listed) - 1} more)"
    return Problem(
        422, TYPE_PREFIX + "validation", "The value is not valid", summary, instance, errors=listed
    )


def not_authenticated(detail: str) -> Problem:
    """Refuse a client that has not shown, or shows no longer, who it is."""
    return message_problem("not-authenticated", "Say who you are", 401, detail)


def message_problem(slug: str, title: str, status: int, detail: str, **extra: Any) -> Problem:
    """Build a problem that no exception stands for, such as an interrupted run."""
    return Problem(
        status, TYPE_PREFIX + slug, title, detail, extra=extra, headers=_headers_of(status)
    )
