"""Finds the actor of a request by the credentials of the server."""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, Workers
from labthings_fastapi.exceptions import CredentialError, ServerConfigurationError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.security.authentication import Authenticator, NamePassword, basic_pair
from labthings_fastapi.security.credential_file import FILE_NAME, CredentialFile
from labthings_fastapi.security.credentials import Credential
from labthings_fastapi.security.guesses import Guesses
from labthings_fastapi.security.roles import Actor
from labthings_fastapi.server.config_model import SecurityConfig

from .authenticated_connections import AuthenticatedConnections

LOGGER = own_logger("security")
REFRESH_SECONDS: Final = 2.0  # the file of credentials is read again after this time
READ_TIMEOUT_SECONDS: Final = 2.0
"""A request waits for the file at most this long, because a network share may hang."""


class Authentication:
    def __init__(self, security: SecurityConfig, settings_folder: Path, workers: Workers) -> None:
        self._file = CredentialFile(security.credentials or settings_folder / FILE_NAME)
        if security.authentication != "off":
            self._file.refresh()
        self.required = security.authentication == "required" or bool(self._file.credentials)
        """True if every client must authenticate."""
        if security.authentication == "required" and not self._file.credentials:
            raise ServerConfigurationError(
                "security.authentication: the value is 'required', but there are no credentials in "
                f"{self._file.path}, so every request would be refused. Make a token with "
                "`labthings-server token create --role operator`."
            )
        # Browsers keep cookies by host and not by port, so two servers need two names.
        digest = hashlib.sha256(str(self._file.path.resolve()).encode("utf-8", "replace"))
        self.authenticator = Authenticator(
            lambda: self._file.credentials, cookie=f"labthings_session_{digest.hexdigest()[:8]}"
        )
        self._passwords = BoundedExecutor(workers, "the check of passwords", limit=2)
        # Not on the same executor: many wrong passwords must not delay a revocation.
        self._reading = BoundedExecutor(workers, "the file of credentials", limit=1)
        self.connections = AuthenticatedConnections(self._refresh, self._is_valid, REFRESH_SECONDS)
        self._guesses = Guesses()
        self._refreshed = time.monotonic()
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def passwords(self) -> bool:
        return any(each.kind == "password" for each in self._file.credentials)

    @property
    def schemes(self) -> list[str]:
        """How clients may authenticate.

        Always by both: a token may be the password of Basic, with any name, because the WoT
        Profiles (section 5.3) know no bearer tokens.
        """
        return ["bearer", "basic"] if self.required else []

    async def actor(
        self, authorization: str | None, cookies: str | None, address: str | None
    ) -> Actor | None:
        """Return the actor of a request from this address; None if there is none.

        Raises:
            TooManyGuessesError: it is none that is known, and the address must wait.
        """
        await self._refresh_if_old()
        actor = self.authenticator.actor(authorization, cookies)
        if actor is None and authorization is not None:
            credential = await self.check(authorization, address)
            actor = credential.actor if credential is not None else None
        return actor

    async def check(self, authorization: str, address: str | None) -> Credential | None:
        await self._refresh_if_old()
        credential = self.authenticator.by_bearer(authorization)
        if credential is not None:
            return credential
        return await self._try(basic_pair(authorization), address)

    async def check_password(self, pair: NamePassword, address: str | None) -> Credential | None:
        """Return the credential of a name and a password; takes 0.1 s, the first time."""
        await self._refresh_if_old()
        return await self._try(pair, address)

    async def _try(self, pair: NamePassword | None, address: str | None) -> Credential | None:
        """Check a name and a password, and count what is wrong; None: a wrong token."""
        credential = self.authenticator.remembered(pair) if pair is not None else None
        if credential is not None:
            return credential
        with self._guesses.attempt(address):
            if pair is not None and self.passwords:
                credential = await self._passwords.run(self.authenticator.check, pair)
                if credential is not None:
                    self.authenticator.remember(pair, credential)
                    return credential
            if count := self._guesses.failed(address):
                text = "A token or password from %s was refused (%d since the last such line)."
                LOGGER.warning(text, address, count)
        return None

    def end_session(self, id: str) -> None:
        """End a session, and the streams and sockets that it opened."""
        self.authenticator.sessions.end(id)
        self.connections.check()

    def _is_old(self) -> bool:
        return time.monotonic() - self._refreshed > REFRESH_SECONDS

    async def _refresh_if_old(self) -> None:
        if self._is_old():
            await self._refresh()

    def _is_valid(self, actor: Actor) -> bool:
        """Return True if credential and session of an actor are still valid; does not wait."""
        if self._is_old():
            self._start_reading()
        if actor.session and not self.authenticator.sessions.is_open(actor.session):
            return False
        now = datetime.now(UTC)
        return any(
            each.hash == actor.credential and each.actor == actor and each.is_valid_at(now)
            for each in self._file.credentials
        )

    async def _refresh(self) -> None:
        await asyncio.wait({self._start_reading()}, timeout=READ_TIMEOUT_SECONDS)
        self._refreshed = time.monotonic()

    def _start_reading(self) -> asyncio.Task[None]:
        task, loop = self._refreshing, asyncio.get_running_loop()
        if task is None or task.done() or task.get_loop() is not loop:
            task = self._refreshing = loop.create_task(self._read())
        return task

    async def _read(self) -> None:
        try:
            if await self._reading.run(self._file.refresh):
                LOGGER.info("The credentials in %s were reloaded.", self._file.path)
        except CredentialError as error:
            LOGGER.error("%s", error)
        except Exception:  # perhaps nothing awaits this task; the next request tries again
            LOGGER.exception("The credentials in %s could not be reloaded.", self._file.path)
        self._refreshed = time.monotonic()
