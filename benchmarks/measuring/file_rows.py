"""Rows about large files: how fast they go from a disk to a client, and back."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .processes import free_port, running_server, temporary_folder
from .row import Effort, at_least, row
from .subjects import SERVED, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .connection import Connection
    from .processes import Server
    from .row import Measure

SIZE = 1_000_000_000
BLOCK = bytes(range(256)) * 4096
PAIR = ("ours", "floor")


@contextmanager
def _floor() -> Iterator[Server]:
    port = free_port()
    with temporary_folder() as folder:
        path = folder / "file"
        with path.open("wb") as file:
            for _ in range(SIZE // len(BLOCK)):
                file.write(BLOCK)
        command = [sys.executable, str(SERVED / "file_server.py"), str(path), str(port)]
        with running_server(command, port, "/file") as server:
            yield server


def _upload(connection: Connection) -> str:
    """Send a large body, and return the path of the blob; of the floor: nothing."""
    blocks = SIZE // len(BLOCK)
    head = (
        "POST /blob HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Length: {blocks * len(BLOCK)}\r\n\r\n"
    )
    connection.socket.sendall(head.encode())
    for _ in range(blocks):
        connection.socket.sendall(BLOCK)
    status, body, _ = connection.receive_all()
    if status != 201:
        raise RuntimeError(f"The upload was answered {status}: {body[:300]!r}")
    return str(urlsplit(json.loads(body)["href"]).path) if body else ""


def _download(connection: Connection, path: str) -> int:
    """Fetch a large body, without keeping it; return its size."""
    connection.send("GET", path)
    status, headers = connection.head()
    if status != 200:
        raise RuntimeError(f"The download was answered {status}.")
    return connection.skip(int(headers["content-length"]))


@row("download", "a blob of 1 GB is downloaded", "MB/s", PAIR, at_least(0.9, "floor"))
@contextmanager
def download(subject: str, effort: Effort) -> Iterator[Measure]:
    opened = _floor() if subject == "floor" else serve(subject)
    with opened as server:
        path = "/file"
        if subject != "floor":
            with server.connection() as connection:
                path = _upload(connection)

        def once() -> float:
            # A new one: servers close those on which nothing came for a few seconds.
            with server.connection() as connection:
                began = time.perf_counter()
                size = _download(connection, path)
                return size / (time.perf_counter() - began) / 1e6

        yield once


@row("upload", "1 GB is uploaded as the input of an action", "MB/s", PAIR, at_least(0.8, "floor"))
@contextmanager
def upload(subject: str, effort: Effort) -> Iterator[Measure]:
    opened = _floor() if subject == "floor" else serve(subject)
    with opened as server:

        def once() -> float:
            with server.connection() as connection:
                began = time.perf_counter()
                _upload(connection)
                return SIZE / (time.perf_counter() - began) / 1e6

        yield once
