"""The file with the credentials of a server."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from labthings_fastapi.exceptions import CredentialError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_host.operating_system import (
    exclusive_file_access,
    open_to_others,
    who_else_may_write,
    write_durably,
)

from .credentials import Credential

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGGER = own_logger("security")
FILE_NAME = "credentials.json"
_LIST = TypeAdapter(list[Credential])


class CredentialFile:
    """Reads and changes the file; used by one thread at a time.

    A server calls `refresh` for each request, so a revoked token stops working at once. If the
    file cannot be read, no credential is valid.
    """

    def __init__(self, path: Path) -> None:
        """Use this file; it may be missing."""
        self.path = path
        self._version: tuple[int, ...] | None = None
        self.credentials: tuple[Credential, ...] = ()
        """As last read. The tuple is replaced and never changed, so any thread may read it."""

    def refresh(self) -> bool:
        """Read the file if it has changed; return True if it had.

        Raises:
            CredentialError: the file cannot be read; `credentials` is empty then.
        """
        try:
            stat, folder = self.path.stat(), self.path.parent.stat()
        except FileNotFoundError:
            changed, self._version = self._version is not None, None
            self.credentials = ()
            return changed
        except OSError as error:
            self._version, self.credentials = None, ()
            raise self._unreadable(error.strerror or str(error)) from error
        # Two changes may have the same time, but each change is a new file (a new inode).
        version = (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode, folder.st_mode)
        if version == self._version:
            return False
        self._version = version
        try:
            self._check_permissions()
            self.credentials = self._read()
        except BaseException:
            self.credentials = ()  # not before: other threads read it meanwhile
            raise
        return True

    def _check_permissions(self) -> None:
        try:
            others = who_else_may_write(self.path)
            is_readable = open_to_others(self.path)
        except OSError as error:
            self._version = None
            raise self._unreadable(error.strerror or str(error)) from error
        remedy = f"`chmod 600 {self.path}`"
        if others is not None:
            raise CredentialError(
                f"The credentials in {self.path} are not used, because {others}: somebody could "
                "have added a token. Every token and password is refused. Allow only yourself to "
                f"write: {remedy} and `chmod go-w {self.path.parent}`. Then look at the names with "
                "`labthings-server token list`."
            )
        if is_readable:
            LOGGER.warning(
                "Other users of this computer can read the credentials in %s. They are hashed, but "
                "weak passwords could be guessed: %s",
                *(self.path, remedy),
            )

    def _read(self) -> tuple[Credential, ...]:
        try:
            return tuple(_LIST.validate_json(self.path.read_bytes()))
        except OSError as error:
            self._version = None
            raise self._unreadable(error.strerror or str(error)) from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            reason = f"{place}: {first['msg']}" if place else first["msg"]
            raise self._unreadable(reason) from error

    def _unreadable(self, reason: str) -> CredentialError:
        return CredentialError(
            f"The credentials in {self.path} cannot be read ({reason}), so every token and "
            "password is refused. Repair the file, or move it away and make new tokens with "
            "`labthings-server token create`."
        )

    def add(self, credential: Credential) -> None:
        """Add a credential.

        Raises:
            CredentialError: the name is taken, or the file cannot be read or written.
        """
        with self._changing():
            self._add(credential)

    def _add(self, credential: Credential) -> None:
        self.refresh()
        if any(each.name == credential.name for each in self.credentials):
            raise CredentialError(
                f"There is a credential called {credential.name!r} in {self.path} already. Choose "
                "another name, or revoke the old one with `labthings-server token revoke "
                f"{credential.name}`."
            )
        self._write((*self.credentials, credential))

    def remove(self, name: str) -> None:
        """Remove the credential of this name.

        Raises:
            CredentialError: no credential has that name, or the file cannot be read or written.
        """
        with self._changing():
            self._remove(name)

    def _remove(self, name: str) -> None:
        self.refresh()
        left = tuple(each for each in self.credentials if each.name != name)
        if len(left) == len(self.credentials):
            known = ", ".join(each.name for each in self.credentials) or "none"
            raise CredentialError(
                f"There is no credential called {name!r} in {self.path}; there are: {known}."
            )
        self._write(left)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Lock the file against other processes, whose changes could undo a revocation."""
        try:
            with exclusive_file_access(self.path):
                yield
        except OSError as error:
            raise CredentialError(
                f"The credentials cannot be written to {self.path}: {error.strerror or error}."
            ) from error

    def _write(self, credentials: tuple[Credential, ...]) -> None:
        text = _LIST.dump_json(list(credentials), indent=4)
        write_durably(self.path, text + b"\n")
        self.refresh()

    def unused_name(self, stem: str) -> str:
        """Return the first of `stem-1`, `stem-2` … that no credential has."""
        taken = {each.name for each in self.credentials}
        return next(name for n in count(1) if (name := f"{stem}-{n}") not in taken)
