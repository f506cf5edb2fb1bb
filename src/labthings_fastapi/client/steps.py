"""What the protocol needs from the network, as values: nothing here does input or output.

The protocol is written once, as generators. A generator yields a step, and gets its result: the
blocking client and the asynchronous one are two loops that carry steps out.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

REQUEST_SECONDS = 10.0
"""How long an answer may take, unless the request itself asks to wait."""
STREAM_SECONDS = 40.0
"""How long an event stream may be silent: servers send a comment every 4 to 15 seconds."""
LARGEST_BODY = 256 * 2**20
"""Bytes of an answer that are read at most: a server that never ends its answer is left."""


@dataclass(frozen=True, slots=True)
class Request:
    """Send this, and give the `Answer`; with `stream`, an `OpenStream` if it is an event stream.

    Raises, in the generator, `ServerUnreachableError` if there is no answer.
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
    body: bytes

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

    Raises, in the generator, `ServerUnreachableError` if the connection breaks, or is silent for
    longer than servers that send comments are.
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
