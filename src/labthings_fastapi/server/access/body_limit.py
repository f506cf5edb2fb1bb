"""How large the body of a request may be, before any of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from labthings_fastapi.exceptions import BodyTooLargeError
from labthings_fastapi.problems import problem_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Message, Receive

    from labthings_fastapi.problems import Problem


_REMEDY = "see `max_body_bytes` and `max_upload_bytes` in the server's configuration"


class BodyLimit:
    """Two limits: files in a form go to the disk as they come, everything else into memory."""

    def __init__(self, most: int, most_uploaded: int, remedy: str = _REMEDY) -> None:
        """Allow so many bytes, and so many in a form with files; `remedy` is for who has more."""
        self.most = most
        self._most_uploaded = most_uploaded
        self._remedy = remedy

    def of(self, headers: Mapping[bytes, bytes]) -> int:
        """Return how many bytes the body of this request may have."""
        form = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        return self._most_uploaded if form else self.most

    def refusal(self, headers: Mapping[bytes, bytes]) -> Problem | None:
        """Refuse a body that is announced as too large, before any of it is read."""
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > (limit := self.of(headers)):
            return problem_from(BodyTooLargeError(self._text(limit)))
        return None

    def counting(
        self, receive: Receive, headers: Mapping[bytes, bytes], http_version: str
    ) -> Receive:
        """Stop a body of unknown length once it is too large.

        One of known length needs no counting: the web server keeps to what was announced, and in
        HTTP/1 a request without either header has no body (RFC 9112, section 6.3).
        """
        if b"content-length" in headers:
            return receive
        if b"transfer-encoding" not in headers and http_version.startswith("1"):
            return receive
        limit = self.of(headers)
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                # FastAPI lets errors of this class alone through while it reads a body.
                raise HTTPException(413, self._text(limit))
            return message

        return counted

    def _text(self, limit: int) -> str:
        return (
            f"The body of this request is larger than {limit} bytes, the most that is accepted: "
            f"{self._remedy}."
        )
