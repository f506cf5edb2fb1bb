"""A plain HTTP/1.1 client on one kept connection, which adds little to the server's own time."""

from __future__ import annotations

import json
import socket
from typing import Any


class Connection:
    """One connection, one request at a time; used by one thread."""

    def __init__(self, port: int, timeout: float = 120.0) -> None:
        """Connect to a server on this machine."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = f"127.0.0.1:{port}"
        self._rest = b""

    def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        """Send a request, without waiting for its answer."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or method in ("POST", "PUT"):
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def head(self) -> tuple[int, dict[str, str]]:
        """Read the head of an answer: its status, and its headers by lower-case name."""
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, self._rest = self._rest.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return int(first.split(" ", 2)[1]), {name.lower(): value for name, value in pairs}

    def receive(self) -> tuple[int, bytes]:
        """Read a whole answer: its status and body."""
        return self.receive_all()[:2]

    def receive_all(self) -> tuple[int, bytes, dict[str, str]]:
        """Read a whole answer: its status, body and headers."""
        status, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, self._chunks(), headers
        length = 0 if status in (204, 304) else int(headers.get("content-length", 0))
        return status, self._take(length), headers

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a request and read its answer."""
        self.send(method, path, body, headers)
        return self.receive()

    def json(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Any:
        """Ask and read the answer as JSON; an answer that is no success is an error."""
        status, answer = self.request(method, path, body, headers)
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {path} was answered {status}: {answer[:300]!r}")
        return json.loads(answer or b"null")

    def skip(self, length: int) -> int:
        """Read a body of this length, and keep nothing of it; return the length."""
        left = length - len(self._rest)
        self._rest = b""
        buffer = bytearray(1 << 20)
        while left > 0:
            received = self.socket.recv_into(buffer, min(left, len(buffer)))
            if not received:
                raise ConnectionError("The server closed the connection.")
            left -= received
        return length

    def _more(self) -> None:
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise ConnectionError("The server closed the connection.")
        self._rest += chunk

    def _take(self, length: int) -> bytes:
        parts = [self._rest]
        have = len(self._rest)
        while have < length:
            parts.append(self.socket.recv(1 << 18))
            if not parts[-1]:
                raise ConnectionError("The server closed the connection.")
            have += len(parts[-1])
        whole = b"".join(parts)
        self._rest = whole[length:]
        return whole[:length]

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            while b"\r\n" not in self._rest:
                self._more()
            size, self._rest = self._rest.split(b"\r\n", 1)
            part = self._take(int(size, 16) + 2)[:-2]
            if not part:
                return b"".join(parts)
            parts.append(part)

    def close(self) -> None:
        """Close it."""
        self.socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
