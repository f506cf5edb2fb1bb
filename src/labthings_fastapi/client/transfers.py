"""What a blocking client fetches from its server and sends to it besides values of its Thing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .downloads import download
from .problems import request_error
from .protocol import RunState, ThingProtocol, fetch
from .rich import RemoteBlob
from .run_files import RemoteFile, listed_files
from .steps import Answer, Request
from .uploads import Progress, Source, upload

if TYPE_CHECKING:
    from labthings_fastapi.outputs.blob import Blob

    from .connection import Connection


class Transfers:
    """Blobs, uploads and files of runs over the connection of a client; any thread may use it."""

    _connection: Connection
    _protocol: ThingProtocol

    def _fetch(self, href: str) -> bytes:
        address = self._protocol.description.resolve(href)
        request = Request("GET", address, seconds=60.0)
        answer: Answer = self._connection.run(fetch(request, repeat=True))
        if not answer.ok:
            raise request_error(answer, f"{address} cannot be fetched")
        return bytes(answer.body)

    def _download(self, href: str, path: Path) -> None:
        download(self._connection, self._protocol.description.resolve(href), path)

    def upload(
        self, source: Source, media_type: str | None = None, progress: Progress | None = None
    ) -> Blob:
        """Send a file (its path), bytes or a blob to the server, as an input of actions.

        A large one is sent in parts, and goes on when the connection was broken for a moment;
        `progress(sent, size)` is called after each part, with numbers of bytes. Without a run that
        uses it, the server deletes it after an hour.

        Raises:
            ClientError: the server takes no uploads, or not this one.
            OSError: the file cannot be read.
        """
        steps = upload(self._protocol.description, source, media_type, progress)
        return RemoteBlob(self._connection.run(steps), self)

    def _files(self, state: RunState) -> dict[str, RemoteFile]:
        link = state.link("files")
        if link is None:
            return {}
        address = self._protocol.description.resolve(link)
        answer: Answer = self._connection.run(fetch(Request("GET", address), repeat=True))
        if not answer.ok:
            raise request_error(answer, f"The files of run {state.id}")
        found = listed_files(address, answer.json(), self._protocol.description.resolve)
        return {name: RemoteFile(each, self) for name, each in found.items()}

    def _pin(self, state: RunState, *, pinned: bool) -> None:
        link = state.link("files") or ""
        address = self._protocol.description.resolve(link.removesuffix("files") + "pin")
        request = Request("POST" if pinned else "DELETE", address)
        answer: Answer = self._connection.run(fetch(request, repeat=True))
        if not answer.ok:
            verb = "pinned" if pinned else "unpinned"
            raise request_error(answer, f"Run {state.id} was not {verb}")
