"""Errors about invocations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import LabThingsError

if TYPE_CHECKING:
    from uuid import UUID


class InvocationNotFoundError(LabThingsError, KeyError):
    """No invocation has this id, or it has expired."""

    def __init__(self, id: UUID | str) -> None:
        """Name the id."""
        super().__init__(f"There is no invocation with id {id}: the id is unknown, or expired.")


class InvocationFinishedError(LabThingsError, RuntimeError):
    """An invocation has already finished and cannot be cancelled."""

    def __init__(self, id: UUID, status: str) -> None:
        """Name the invocation and its final status."""
        super().__init__(
            f"Invocation {id} has already finished ({status}) and cannot be cancelled."
        )


class OutputNotReadyError(LabThingsError, RuntimeError):
    """An invocation has no output yet."""

    def __init__(self, id: UUID, status: str) -> None:
        """Name the invocation and its status."""
        super().__init__(f"Invocation {id} has no output yet: it is {status}. Try again later.")


class NoOutputError(LabThingsError, LookupError):
    """An invocation ended without an output, because it failed or was cancelled."""

    def __init__(self, id: UUID, status: str) -> None:
        """Name the invocation and its final status."""
        super().__init__(f"Invocation {id} has no output: it ended as {status!r}.")


class OutputNotKeptError(NoOutputError):
    """An invocation had a large or binary output, and only its record is left."""

    def __init__(self, id: UUID, size: int | None, media_type: str) -> None:
        """Name the invocation, and the size (bytes) and media type of its output."""
        LabThingsError.__init__(
            self,
            f"Invocation {id} had an output of {size} bytes ({media_type}). It is no longer there: "
            "the disk did not take it, or its file was deleted.",
        )


class IdempotencyKeyError(LabThingsError, ValueError):
    """An `Idempotency-Key` was used before, with another request."""


class InvocationError(LabThingsError, RuntimeError):
    """An anticipated failure; raise it in an action to log one line without a traceback."""


class ActionBusyError(LabThingsError, RuntimeError):
    """Another invocation of the same group is in progress."""


class ThingBusyError(LabThingsError, TimeoutError):
    """A Thing that does one thing at a time was not free in time."""


class TooBusyError(LabThingsError, RuntimeError):
    """The server or a Thing has reached the limit of its waiting work."""


class GlobalLockBusyError(LabThingsError, TimeoutError):
    """Another task holds the server's global lock."""

    status_code = 409

    def __init__(
        self, message: str = "The global lock could not be acquired.", log_level: int = 30
    ) -> None:
        """Set the message, and the level (of `logging`) of the record about it."""
        self.log_level = log_level
        super().__init__(message)


class NoInvocationContextError(LabThingsError, RuntimeError):
    """Something that belongs to an invocation was used outside any invocation."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no {what} here: this code does not run inside an action.")
