"""Files on their way from a server: written as they arrive, and whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO, Any, Final

from labthings_fastapi.exceptions import ClientError

from .connection import Connection
from .problems import request_error
from .steps import Answer

PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before the next try, while nothing arrives."""
_SECONDS: Final = 60.0  # without a byte
_MOST_OF_PROBLEM: Final = 64 * 1024


def download(connection: Connection, address: str, path: Path) -> None:
    """Write what is at an address to a file; an existing one is replaced when all has come.

    When the connection breaks, the download goes on where it stopped, if the content is the same.

    Raises:
        ClientError: the server refuses it, or the connection breaks again and again.
        OSError: the file cannot be written.
    """
    import httpx2

    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    fetching = _Fetching(connection, address)
    tries = 0
    try:
        with partial.open("wb") as file:
            while True:
                before = file.tell()
                try:
                    if fetching.is_whole(file):
                        break
                    error: Exception = ClientError("the connection ended too early")
                except httpx2.TransportError as raised:
                    error = raised
                tries = 0 if file.tell() > before else tries + 1
                if tries > len(PAUSES) or (fetching.etag is None and file.tell()):
                    raise ClientError(f"{path} is not complete, and was not kept: {error}")
                time.sleep(PAUSES[max(0, tries - 1)])
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class _Fetching:
    """One download; for one user at a time."""

    def __init__(self, connection: Connection, address: str) -> None:
        self._connection = connection
        self._address = address
        self.etag: str | None = None
        """What tells whether the content is the same; None: the server does not say."""

    def is_whole(self, file: IO[bytes]) -> bool:
        """Get what is missing; return whether all is there."""
        begin = file.tell()
        headers = {"Accept-Encoding": "identity"}
        if begin and self.etag:
            headers |= {"Range": f"bytes={begin}-", "If-Range": self.etag}
        with self._connection.client.stream(
            "GET", self._address, headers=headers, timeout=_SECONDS
        ) as response:
            self._check(response)
            if begin and response.status_code == 200:  # the content is another one now
                file.seek(0)
                file.truncate()
            self.etag = response.headers.get("etag")
            arrived = 0
            for chunk in response.iter_bytes():
                file.write(chunk)
                arrived += len(chunk)
        length = response.headers.get("content-length", "")
        return not length.isdigit() or arrived == int(length)

    def _check(self, response: Any) -> None:
        if response.status_code in (200, 206):
            return
        body = b""
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _MOST_OF_PROBLEM:
                break
        headers = {name.lower(): value for name, value in response.headers.items()}
        answer = Answer(self._address, response.status_code, headers, body)
        raise request_error(answer, f"{self._address} cannot be fetched")
