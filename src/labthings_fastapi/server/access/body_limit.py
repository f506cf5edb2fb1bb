"""The largest body of a request, checked before the body is kept."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from labthings_fastapi.exceptions import BodyTooLargeError
from labthings_fastapi.problems import Problem, problem_from

_REMEDY = "see `max_body_bytes` and `max_upload_bytes` in the server's configuration"


class BodyLimit:
    """Two limits in bytes: one for bodies in memory, one for forms, whose files go to the disk."""

    def __init__(self, max_bytes: int, max_upload_bytes: int, remedy: str = _REMEDY) -> None:
        self.max_bytes = max_bytes
        self._max_upload_bytes = max_upload_bytes
        self._remedy = remedy

    def _limit_for(self, headers: Mapping[bytes, bytes]) -> int:
        form = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        return self._max_upload_bytes if form else self.max_bytes

    def check_length(self, headers: Mapping[bytes, bytes]) -> Problem | None:
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > (limit := self._limit_for(headers)):
            return problem_from(BodyTooLargeError(self._text(limit)))
        return None

    def apply(self, receive: Receive, headers: Mapping[bytes, bytes], http_version: str) -> Receive:
        """Return a `receive` that stops a body without `Content-Length` when it is too large."""
        if b"content-length" in headers:
            return receive
        if b"transfer-encoding" not in headers and http_version.startswith("1"):
            return receive
        limit = self._limit_for(headers)
        size = 0

        async def receive_counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                # The only class of errors that FastAPI does not replace while it reads a body.
                raise HTTPException(413, self._text(limit))
            return message

        return receive_counted

    def _text(self, limit: int) -> str:
        return (
            f"The body of this request is larger than {limit} bytes, the most that is accepted: "
            f"{self._remedy}."
        )
