"""The exit codes, which scripts can trust, and which failure gets which."""

from __future__ import annotations

from http import HTTPStatus

from labthings_fastapi.client.server_runs import UnknownRunError
from labthings_fastapi.client.value_texts import ValueTextError
from labthings_fastapi.exceptions import (
    ClientError,
    GlobalLockBusyError,
    InvocationCancelledError,
    RefusedError,
    ServerUnreachableError,
)

DONE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
REFUSED = 4
CANCELLED = 130

_REFUSALS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class UsageError(Exception):
    """What was typed means nothing on this server: a name that it does not have, a wrong value."""


class NoThingsError(ClientError):
    """Who answers at the address is no server of Things."""


EXPECTED = (
    ClientError,
    GlobalLockBusyError,
    InvocationCancelledError,
    UsageError,
    ValueTextError,
    OSError,
)
"""What is told in one paragraph without a traceback."""


def exit_code(error: BaseException) -> int:
    """Return the exit code of a failure."""
    match error:
        case InvocationCancelledError():
            return CANCELLED
        case UsageError() | ValueTextError() | UnknownRunError():
            return USAGE
        case ServerUnreachableError() | NoThingsError():
            return UNREACHABLE
        case RefusedError() | GlobalLockBusyError():
            return REFUSED
        case ClientError():
            return REFUSED if error.problem.get("status") in _REFUSALS else FAILED
    return FAILED


def code_of_status(status: str) -> int:
    """Return the exit code for a run that has ended with this status."""
    return {"completed": DONE, "cancelled": CANCELLED}.get(status, FAILED)
