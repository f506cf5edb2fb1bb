"""Errors of clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import LabThingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ClientError(LabThingsError, RuntimeError):
    """A client could not do what was asked.

    `problem` is the server's own answer (RFC 9457), if there was one; `invocation_id` the run that
    it is about; `log` the newest lines of that run's log, as texts.
    """

    def __init__(
        self,
        message: str,
        *,
        problem: Mapping[str, Any] | None = None,
        invocation_id: str | None = None,
        log: Sequence[str] = (),
    ) -> None:
        """Keep the message and what the server told."""
        super().__init__(message)
        self.problem: Mapping[str, Any] = problem or {}
        self.invocation_id = invocation_id
        self.log = list(log)


class FailedToInvokeActionError(ClientError):
    """The server refused to start an action."""


class ServerActionError(ClientError):
    """An action ended in an error on the server."""


class ClientPropertyError(ClientError):
    """A property could not be read or written."""


class RefusedError(ClientError, PermissionError):
    """The server does not know who asks (401), or the role does not allow it (403)."""

    def __str__(self) -> str:
        return str(self.args[0])


class ServerUnreachableError(ClientError, ConnectionError):
    """A server does not answer, or its connection broke."""

    def __str__(self) -> str:
        return str(self.args[0])


class ForeignAddressError(ClientError, ValueError):
    """An answer of a server leads to another server, to which nothing is sent."""

    def __init__(self, address: str, server: str) -> None:
        """Name both addresses."""
        super().__init__(
            f"The server at {server} refers to {address}, which is another server. Nothing was "
            "sent there. If it is the same one under another name, use that name in the URL."
        )


class WaitTimeoutError(ClientError, TimeoutError):
    """What was waited for did not come in time; the run goes on."""

    def __str__(self) -> str:
        return str(self.args[0])
