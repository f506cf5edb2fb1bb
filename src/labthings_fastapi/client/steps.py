"""What the protocol needs from the network, as values: nothing here does input or output.

The protocol is written once, as generators. A generator yields a step, and gets its result: the
blocking client and the asynchronous one are two loops that carry steps out.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from labthings_fastapi.exceptions import ServerUnreachableError

T = TypeVar("T")

REQUEST_SECONDS = 10.0
"""How long an answer may take, unless the request itself asks to wait."""
CONNECT_SECONDS = 10.0
"""How long it may take to connect, however long the answer may take."""
STREAM_SECONDS = 40.0
"""How long an event stream of ours may be silent: it has a comment every 4 seconds."""
QUIET_SECONDS = 300.0
"""How long a server of others may be silent that sends nothing until something happens."""
LARGEST_BODY = 256 * 2**20
"""Bytes of an answer that are read at most: a server that never ends its answer is left."""


class SilenceError(ServerUnreachableError):
    """The connection is open, and nothing has come for as long as the request allows."""


@dataclass(frozen=True, slots=True)
class Request:
    """Send this, and give the `Answer`; with `stream`, an `OpenStream` if it is an event stream.

    `seconds` is how long the answer, and each piece of a stream, may take. Raises, in the
    generator, `ServerUnreachableError` if there is no answer, and `SilenceError` if not in time.
    """

    method: str
    url: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = REQUEST_SECONDS
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request; the names of its headers are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray

    @property
    def ok(self) -> bool:
        """Whether the request succeeded (200 to 299)."""
        return 200 <= self.status < 300

    @property
    def media_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Return the body as JSON, or None if there is none.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.body) if self.body.strip() else None


@dataclass(frozen=True, slots=True)
class OpenStream:
    """An event stream that is open; `token` belongs to the loop that opened it."""

    token: Any


@dataclass(frozen=True, slots=True)
class NextChunk:
    """Give the next bytes of a stream; empty at its end.

    Raises, in the generator, `ServerUnreachableError` if the connection breaks, and `SilenceError`
    if it is silent for longer than the request allows.
    """

    stream: OpenStream


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Close a stream; one that is closed is no error."""

    stream: OpenStream


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


Step: TypeAlias = Request | NextChunk | CloseStream | Pause
Steps: TypeAlias = Generator[Step, Any, T]
"""A piece of the protocol: yields steps, and returns a `T`."""
