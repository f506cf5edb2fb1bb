"""A dependency for the parameters of an action: the folder for files of its run.

`lt.output_folder()` gives the same folder without a parameter.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import Depends

from labthings_fastapi.exceptions import NoInvocationContextError

from .invocation import InvocationID

if TYPE_CHECKING:
    from labthings_fastapi.actions.live_invocation import LiveInvocation


class FileManager:
    """The files of one run, and links to some of them; for the threads of that run."""

    def __init__(self, invocation_id: InvocationID) -> None:
        """Belong to the run that the request starts."""
        self.invocation_id = invocation_id
        self._invocation: LiveInvocation | None = None
        self._links: dict[str, str] = {}

    def enter_invocation(self, invocation: Any) -> None:
        """Set the run; called just before the action's function."""
        self._invocation = invocation
        for rel, filename in self._links.items():
            invocation.link_file(rel, filename)

    def _running(self) -> LiveInvocation:
        if self._invocation is None:
            raise NoInvocationContextError("folder for files")
        return self._invocation

    @property
    def directory(self) -> Path:
        """The folder, which is made when it is first asked for.

        Raises:
            NoInvocationContextError: the run has not begun.
            OSError: the folder cannot be made.
        """
        return self._running().files.directory

    @property
    def filenames(self) -> list[str]:
        """The names of the files so far, in their order."""
        return self._running().files.names()

    def path(self, filename: str, rel: str | None = None) -> Path:
        """Return the path of a file, which need not exist yet; with `rel`, link to it as well."""
        if rel is not None:
            self.add_link(rel, filename)
        return self.directory / filename

    def add_link(self, rel: str, filename: str) -> None:
        """Let the `links` of the run have one with the relation `rel` to a file."""
        self._links[rel] = filename
        if self._invocation is not None:
            self._invocation.link_file(rel, filename)

    def links(self, prefix: str) -> list[dict[str, str]]:
        """Return the links; `prefix` is the URL of the run."""
        start = f"{prefix.rstrip('/')}/files"
        found = [{"rel": "files", "href": start}]
        found += [
            {"rel": rel, "href": f"{start}/{quote(name)}"} for rel, name in self._links.items()
        ]
        return found


FileManagerDep = Annotated[FileManager, Depends()]
"""The files of the run, and links to some of them."""

__all__ = ["FileManager", "FileManagerDep"]
