"""Who may come in: the credentials of a server, as they are now, and who is inside."""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, Workers
from labthings_fastapi.exceptions import CredentialError, ServerConfigurationError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.security.authentication import (
    Authenticator,
    NamePassword,
    basic_pair,
)
from labthings_fastapi.security.credential_file import FILE_NAME, CredentialFile

from .authenticated_connections import AuthenticatedConnections

if TYPE_CHECKING:
    from pathlib import Path

    from labthings_fastapi.security.credentials import Credential
    from labthings_fastapi.security.roles import Actor
    from labthings_fastapi.server.config_model import SecurityConfig

LOGGER = own_logger("security")
REFRESH_SECONDS: Final = 2.0
"""For how long what the file of credentials says is taken for true."""
PATIENCE_SECONDS: Final = 2.0


class Authentication:
    """Finds out who sends a request; used on the server's event loop.

    Whether clients must say who they are is decided once, when the server is made.
    """

    def __init__(self, security: SecurityConfig, settings_folder: Path, workers: Workers) -> None:
        """Read the file of credentials.

        Raises:
            CredentialError: it cannot be read.
            ServerConfigurationError: authentication is required, and there is nothing to show.
        """
        self._file = CredentialFile(security.credentials or settings_folder / FILE_NAME)
        if security.authentication != "off":
            self._file.refresh()
        self.required = security.authentication == "required" or bool(self._file.credentials)
        """Whether everybody must say who they are."""
        if security.authentication == "required" and not self._file.credentials:
            raise ServerConfigurationError(
                f"security.authentication: it is 'required', and {self._file.path} has no "
                "credentials, so nobody could do anything: make a token with `labthings-server "
                "token create --role operator`."
            )
        # Browsers keep cookies by host, and not by port: another server there has another name.
        ours = hashlib.sha256(str(self._file.path.resolve()).encode("utf-8", "replace"))
        self.authenticator = Authenticator(
            lambda: self._file.credentials, cookie=f"labthings_session_{ours.hexdigest()[:8]}"
        )
        self._passwords = BoundedExecutor(workers, "the check of passwords", limit=2)
        # Apart from these, or whoever tries many passwords could keep a revoked token alive.
        self._reading = BoundedExecutor(workers, "the file of credentials", limit=1)
        self.connections = AuthenticatedConnections(self._refresh, self._is_valid, REFRESH_SECONDS)
        self._refreshed = time.monotonic()
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def passwords(self) -> bool:
        """Whether somebody may come with a name and a password."""
        return any(each.kind == "password" for each in self._file.credentials)

    @property
    def schemes(self) -> list[str]:
        """How clients show who they are, in the words of HTTP; nothing if they need not."""
        if not self.required:
            return []
        return ["bearer", "basic"] if self.passwords else ["bearer"]

    async def actor(self, authorization: str | None, cookies: str | None) -> Actor | None:
        """Return whom a request comes from, by its headers.

        Raises:
            TooBusyError: too many passwords are being checked.
        """
        await self._refresh_if_old()
        actor = self.authenticator.actor(authorization, cookies)
        if actor is None and authorization is not None:
            found = await self.check(authorization)
            actor = found.actor if found is not None else None
        return actor

    async def check(self, authorization: str) -> Credential | None:
        """Return the credential of an `Authorization` header; a password takes its time."""
        await self._refresh_if_old()
        found = self.authenticator.by_bearer(authorization)
        pair = basic_pair(authorization)
        if found is not None or pair is None:
            return found
        return await self.check_password(pair)

    async def check_password(self, pair: NamePassword) -> Credential | None:
        """Return the credential of a name and a password.

        Raises:
            TooBusyError: too many passwords are being checked.
        """
        await self._refresh_if_old()
        if not self.passwords:
            return None
        found = self.authenticator.remembered(pair)
        if found is None:
            found = await self._passwords.run(self.authenticator.check, pair)
            if found is not None:
                self.authenticator.remember(pair, found)
        return found

    async def _refresh_if_old(self) -> None:
        """Go by what the file says now, also for the first request after a quiet night."""
        if self._is_old():
            await self._refresh()

    def _is_old(self) -> bool:
        return time.monotonic() - self._refreshed > REFRESH_SECONDS

    def _is_valid(self, actor: Actor) -> bool:
        """Whether what an actor has shown still counts, by what is known: waits for nothing.

        What is known is read again behind it, if it is old.
        """
        if self._is_old():
            self._begin_reading()
        now = datetime.now(UTC)
        return any(
            each.hash == actor.credential and each.actor == actor and each.is_valid_at(now)
            for each in self._file.credentials
        )

    async def _refresh(self) -> None:
        """Read the file again, if it has changed; but a network share may hang."""
        await asyncio.wait({self._begin_reading()}, timeout=PATIENCE_SECONDS)
        self._refreshed = time.monotonic()

    def _begin_reading(self) -> asyncio.Task[None]:
        """Return the task that reads the file: a new one, unless one is at it."""
        task, loop = self._refreshing, asyncio.get_running_loop()
        if task is None or task.done() or task.get_loop() is not loop:
            task = self._refreshing = loop.create_task(self._read())
        return task

    async def _read(self) -> None:
        try:
            if await self._reading.run(self._file.refresh):
                LOGGER.info("The credentials in %s were read again.", self._file.path)
        except CredentialError as error:
            LOGGER.error("%s", error)
        except Exception:  # nobody may wait for this task, and the next tries again
            LOGGER.exception("The credentials in %s could not be read again.", self._file.path)
        self._refreshed = time.monotonic()
