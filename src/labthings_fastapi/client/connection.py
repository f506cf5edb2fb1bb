"""One server: who asks, how its certificate is checked, and the two loops that carry steps out."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from labthings_fastapi.exceptions import (
    ClientError,
    ForeignAddressError,
    RefusedError,
    ServerUnreachableError,
)

from .description import origin_of
from .steps import (
    CONNECT_SECONDS,
    LARGEST_BODY,
    Answer,
    CloseStream,
    NextChunk,
    OpenStream,
    Pause,
    Request,
    SilenceError,
    Step,
    Steps,
)
from .tokens import find_token

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
_FINGERPRINT = "sha256:"


class ServerAddress:
    """The origin of a server and what is sent to it alone. Immutable."""

    def __init__(self, url: str, token: str | None, verify: bool | str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(
                f"{url!r} is no address of a server. Write it as in 'http://lab-pc:5000/stage/'."
            )
        self.origin = origin_of(url)
        self.token = token or find_token(self.origin)
        self.verify = verify

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def tls(self) -> Any:
        """Return how certificates are checked.

        Raises:
            RefusedError: the certificate has another fingerprint.
        """
        if isinstance(self.verify, bool):
            return self.verify
        if not self.verify.startswith(_FINGERPRINT):
            return ssl.create_default_context(cafile=os.fspath(self.verify))
        return self._pinned()

    def _pinned(self) -> ssl.SSLContext:
        # The certificate is trusted as it is, so its names and its issuer do not matter.
        parts = urlsplit(self.origin)
        pem = ssl.get_server_certificate((parts.hostname or "", parts.port or 443), timeout=10)
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        wanted = str(self.verify).removeprefix(_FINGERPRINT).replace(":", "").lower()
        if found != wanted:
            raise RefusedError(
                f"The certificate of {self.origin} has the fingerprint {_FINGERPRINT}{found}, not "
                f"{self.verify}. Nothing was sent. If the server has a new certificate, ask "
                "who runs it for the new fingerprint."
            )
        context = ssl.create_default_context(cadata=pem)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def _timeout(request: Request) -> httpx2.Timeout:
    import httpx2

    return httpx2.Timeout(request.seconds, connect=min(request.seconds, CONNECT_SECONDS))


def _unreachable(url: str, error: Exception) -> ServerUnreachableError:
    import httpx2

    if isinstance(error, httpx2.ReadTimeout):
        return SilenceError(f"The server at {origin_of(url)} does not answer: it is silent.")
    text = str(error) or type(error).__name__
    return ServerUnreachableError(f"The server at {origin_of(url)} does not answer: {text}")


class _Body:
    """Gathers the body of an answer, of the size that the server states, if it does; for one user.

    Arrays share its memory, so it is one that may be written.
    """

    def __init__(self, response: Any, url: str) -> None:
        self._url = url
        stated = str(response.headers.get("content-length", ""))
        size = int(stated) if stated.isdigit() else 0
        self._check(size)
        self._whole = bytearray(size)
        self._size = 0

    def _check(self, size: int) -> None:
        if size > LARGEST_BODY:
            raise _too_large(self._url)

    def add(self, chunk: bytes) -> None:
        end = self._size + len(chunk)
        self._check(end)
        self._whole[self._size : end] = chunk
        self._size = end

    def whole(self) -> bytearray:
        del self._whole[self._size :]
        return self._whole


def _answer(response: Any, body: bytes | bytearray) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(str(response.url), response.status_code, headers, body)


def _too_large(url: str) -> ClientError:
    return ClientError(
        f"The answer of {url} is larger than {LARGEST_BODY >> 20} MiB, and was not read to its end."
    )


STREAM_TYPES = ("text/event-stream", "multipart/x-mixed-replace")
"""The media types of answers that have no end."""


def _is_stream(request: Request, response: Any) -> bool:
    kind = str(response.headers.get("content-type", ""))
    return request.stream and response.status_code == 200 and kind.startswith(STREAM_TYPES)


class Connection:
    """A blocking connection to one server; any thread may use it.

    `client` may be any `httpx2.Client`, among them a test client, for which URLs may be paths.
    """

    def __init__(self, address: ServerAddress | None, client: httpx2.Client | None = None) -> None:
        import httpx2

        self._errors: tuple[type[Exception], ...] = (httpx2.TransportError, httpx2.InvalidURL)
        self._address = address
        self._owned = client is None
        if client is None:
            if address is None:
                raise TypeError("a connection needs an address or a client")
            # The address of an instrument is no matter for a proxy of the environment.
            client = httpx2.Client(headers=address.headers(), verify=address.tls(), trust_env=False)
        self.client = client
        self._origin = address.origin if address is not None else None

    def run(self, steps: Steps[T]) -> T:
        """Carry out the steps, and return what they come to."""
        result: Any = None
        error: Exception | None = None
        while True:
            try:
                step = steps.send(result) if error is None else steps.throw(error)
            except StopIteration as stop:
                value: T = stop.value
                return value
            result = error = None
            try:
                result = self._carry_out(step)
            except ClientError as raised:
                error = raised

    def _carry_out(self, step: Step) -> Any:
        match step:
            case Request():
                return self._send(step)
            case NextChunk():
                return self._next(step.stream)
            case CloseStream():
                step.stream.token[0].close()
            case Pause():
                time.sleep(step.seconds)
        return None

    def _send(self, request: Request) -> Answer | OpenStream:
        _check_origin(self._origin, request.url)
        try:
            built = self.client.build_request(
                request.method,
                request.url,
                content=request.body,
                headers=dict(request.headers),
                timeout=_timeout(request),
            )
            response = self.client.send(built, stream=True, follow_redirects=False)
            if _is_stream(request, response):
                return OpenStream((response, response.iter_raw()))
            try:
                body = _Body(response, request.url)
                for chunk in response.iter_bytes():
                    body.add(chunk)
            finally:
                response.close()
        except self._errors as error:
            raise _unreachable(request.url, error) from error
        return _answer(response, body.whole())

    def _next(self, stream: OpenStream) -> bytes:
        response, chunks = stream.token
        try:
            found: bytes = next(chunks, b"")
        except self._errors as error:
            raise _unreachable(str(response.url), error) from error
        return found

    def close(self) -> None:
        """Close the connection, unless somebody else made it."""
        if self._owned:
            self.client.close()


class AsyncConnection:
    """An asynchronous connection to one server; for the event loop on which it is first used."""

    def __init__(
        self, address: ServerAddress | None, client: httpx2.AsyncClient | None = None
    ) -> None:
        import httpx2

        self._errors: tuple[type[Exception], ...] = (httpx2.TransportError, httpx2.InvalidURL)
        self._owned = client is None
        if client is None:
            if address is None:
                raise TypeError("a connection needs an address or a client")
            client = httpx2.AsyncClient(
                headers=address.headers(), verify=address.tls(), trust_env=False
            )
        self.client = client
        self._origin = address.origin if address is not None else None

    async def run(self, steps: Steps[T]) -> T:
        """Carry out the steps, and return what they come to."""
        result: Any = None
        error: Exception | None = None
        while True:
            try:
                step = steps.send(result) if error is None else steps.throw(error)
            except StopIteration as stop:
                value: T = stop.value
                return value
            result = error = None
            try:
                result = await self._carry_out(step)
            except ClientError as raised:
                error = raised

    async def _carry_out(self, step: Step) -> Any:
        match step:
            case Request():
                return await self._send(step)
            case NextChunk():
                return await self._next(step.stream)
            case CloseStream():
                await step.stream.token[0].aclose()
            case Pause():
                await asyncio.sleep(step.seconds)
        return None

    async def _send(self, request: Request) -> Answer | OpenStream:
        _check_origin(self._origin, request.url)
        try:
            built = self.client.build_request(
                request.method,
                request.url,
                content=request.body,
                headers=dict(request.headers),
                timeout=_timeout(request),
            )
            response = await self.client.send(built, stream=True, follow_redirects=False)
            if _is_stream(request, response):
                return OpenStream((response, response.aiter_raw()))
            try:
                body = _Body(response, request.url)
                async for chunk in response.aiter_bytes():
                    body.add(chunk)
            finally:
                await response.aclose()
        except self._errors as error:
            raise _unreachable(request.url, error) from error
        return _answer(response, body.whole())

    async def _next(self, stream: OpenStream) -> bytes:
        response, chunks = stream.token
        try:
            found: bytes = await anext(chunks, b"")
        except self._errors as error:
            raise _unreachable(str(response.url), error) from error
        return found

    async def close(self) -> None:
        """Close the connection, unless somebody else made it."""
        if self._owned:
            await self.client.aclose()


def _check_origin(origin: str | None, url: str) -> None:
    # Every address was checked when it was found. This is the last place before the network.
    if origin is not None and origin_of(url) != origin:
        raise ForeignAddressError(url, origin)
