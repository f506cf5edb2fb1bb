"""The content of blobs: in memory, in a file, or on another server.

Local data have an id, by which a client downloads them. The registry of ids is weak: data exist as
long as a blob, an invocation or other code refers to them.
"""

from __future__ import annotations

import io
import os
import shutil
import threading
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Protocol
from uuid import UUID, uuid4

from labthings_fastapi.exceptions import BlobNotFoundError

from .links import href_of
from .media_types import ANY_MEDIA_TYPE, default_filename

if TYPE_CHECKING:
    from collections.abc import Callable


class HttpClient(Protocol):
    """A client of HTTP, such as `httpx2.Client` or a test client."""

    def get(self, url: str, /) -> Any: ...


class BlobData:
    """The content of a blob, whatever it is made of. Any thread may read it."""

    def __init__(self, media_type: str = ANY_MEDIA_TYPE) -> None:
        self._media_type = media_type

    @property
    def media_type(self) -> str:
        """The media type, as in `image/png`."""
        return self._media_type

    @property
    def content(self) -> bytes:
        """The whole content, in memory."""
        raise NotImplementedError(f"{type(self).__name__} has no `content`.")

    @property
    def size(self) -> int | None:
        """The number of bytes; None if it is not known without reading them."""
        return None

    @property
    def filename(self) -> str | None:
        """The name that a downloaded file gets; None: one is made."""
        return None

    def open(self) -> IO[bytes]:
        """Open the content as a binary file for reading."""
        raise NotImplementedError(f"{type(self).__name__} cannot be opened.")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the content to a file; an existing file is overwritten."""
        with self.open() as source, Path(path).open("wb") as target:
            shutil.copyfileobj(source, target, 1024 * 1024)

    def get_href(self) -> str:
        """Return the URL of the content.

        Raises:
            NoUrlForContextError: no request is being answered, so the server's URL is not known.
        """
        raise NotImplementedError(f"{type(self).__name__} has no URL.")

    def response(self) -> Any:
        """Return a response, of FastAPI, with the content."""
        raise NotImplementedError(f"{type(self).__name__} is not on this server.")


class LocalBlobData(BlobData):
    """Content that this server has; subclasses say where. It does not change."""

    _lock: ClassVar[threading.Lock] = threading.Lock()  # guards the next
    _living: ClassVar[weakref.WeakValueDictionary[UUID, LocalBlobData]] = (
        weakref.WeakValueDictionary()
    )
    _id: UUID | None = None
    _filename: str = ""

    def __init__(self, media_type: str = ANY_MEDIA_TYPE) -> None:
        super().__init__(media_type)
        self._register(uuid4())

    def _register(self, id: UUID) -> None:
        with LocalBlobData._lock:
            self._id = id
            LocalBlobData._living[id] = self

    @property
    def id(self) -> UUID:
        """The id in the URL; nobody can guess it."""
        if self._id is None:  # a subclass that does not call `super().__init__()`
            self._register(uuid4())
        assert self._id is not None  # noqa: S101 - set by the line above
        return self._id

    @property
    def filename(self) -> str | None:
        """The name that a downloaded file gets; None: one is made."""
        return self._filename or None

    def suggest_filename(self, stem: str) -> None:
        """Give a name to data that have none: the stem, a part of the id and an extension."""
        if not self._filename:
            self._filename = default_filename(f"{stem}-{str(self.id)[:8]}", self.media_type)

    @classmethod
    def living(cls, id: UUID) -> LocalBlobData | None:
        """Return the data with this id that some code refers to."""
        with LocalBlobData._lock:
            return LocalBlobData._living.get(id)

    @classmethod
    def from_id(cls, id: UUID | str) -> LocalBlobData:
        """Return the data with this id; also those of a recorded run, so it may wait for a disk.

        Raises:
            BlobNotFoundError: a KeyError; there are none.
        """
        try:
            wanted = id if isinstance(id, UUID) else UUID(id)
        except ValueError:
            raise BlobNotFoundError(id) from None
        found = find_local(wanted)
        if found is None:
            raise BlobNotFoundError(wanted)
        return found

    @classmethod
    def all_ids(cls) -> list[UUID]:
        """Return the ids of all data that some code refers to."""
        with LocalBlobData._lock:
            return list(LocalBlobData._living)

    def get_href(self) -> str:
        """Return the URL of the content."""
        return href_of(self)

    def response(self) -> Any:
        """Return a response, of FastAPI, with the content."""
        from .routes import content_response

        return content_response(self)


class BlobBytes(LocalBlobData):
    """Content in memory. A subclass may make it on demand: override `_bytes` as a property."""

    _bytes: bytes

    def __init__(self, data: bytes, media_type: str = ANY_MEDIA_TYPE) -> None:
        super().__init__(media_type)
        if not isinstance(getattr(type(self), "_bytes", None), property):
            # Not `bytes(data)` alone: `bytes(5)` is 5 zeros.
            self._bytes = bytes(memoryview(data))

    @property
    def content(self) -> bytes:
        """The whole content."""
        return self._bytes

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self._bytes)

    def open(self) -> IO[bytes]:
        """Open the content as a binary file for reading."""
        return io.BytesIO(self._bytes)


class BlobFile(LocalBlobData):
    """Content in a file, which must neither change nor move.

    `attributes_to_keep` become attributes of this object: a `TemporaryDirectory` that has the file,
    for example, stays as long as this object.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        media_type: str = ANY_MEDIA_TYPE,
        **attributes_to_keep: Any,
    ) -> None:
        super().__init__(media_type)
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{type(self).__name__}: there is no file {str(path)!r}.")
        self._filename = self.path.name
        for name, value in attributes_to_keep.items():
            setattr(self, name, value)

    @classmethod
    def kept(cls, id: UUID, path: Path, media_type: str, filename: str | None) -> LocalBlobData:
        """Return data of a file of the server's own under a known id; those that exist, if any."""
        made = cls.__new__(cls)
        made._media_type, made.path, made._filename = media_type, path, filename or ""
        made._id = id
        with LocalBlobData._lock:
            found = LocalBlobData._living.setdefault(id, made)
        # The file of a user may have changed since; it was copied for the run.
        is_users = isinstance(found, BlobFile) and found.path != path
        return made if is_users else found

    @property
    def content(self) -> bytes:
        """The whole content, in memory."""
        return self.path.read_bytes()

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.path.stat().st_size

    def open(self) -> IO[bytes]:
        """Open the file for reading."""
        return self.path.open("rb")


class RemoteBlobData(BlobData):
    """Content at a URL, which is fetched when it is used; `client` is any client of HTTP."""

    def __init__(self, media_type: str, href: str, client: HttpClient | None = None) -> None:
        super().__init__(media_type)
        self.href = href
        self._client = client

    def _get(self) -> Any:
        client: Any = self._client
        if client is None:
            import httpx2

            client = httpx2
        return client.get(self.href)

    @property
    def content(self) -> bytes:
        """The whole content, which is fetched each time."""
        response = self._get()
        response.raise_for_status()
        fetched: bytes = response.content
        return fetched

    def open(self) -> IO[bytes]:
        """Fetch the content, and open it as a binary file for reading."""
        return io.BytesIO(self.content)

    def get_href(self) -> str:
        """Return the URL of the content."""
        return self.href


class _Finders:
    """Where the data of recorded runs and uploads are found; any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the next
        self._finders: list[weakref.WeakMethod[Callable[[UUID], LocalBlobData | None]]] = []

    def add(self, find: Callable[[UUID], LocalBlobData | None]) -> None:
        with self._lock:
            self._finders = [each for each in self._finders if each() is not None]
            self._finders.append(weakref.WeakMethod(find))

    def find(self, id: UUID) -> LocalBlobData | None:
        with self._lock:
            finders = list(self._finders)
        for finder in finders:
            find = finder()
            found = None if find is None else find(id)
            if found is not None:
                return found
        return None


_finders = _Finders()


def add_finder(find: Callable[[UUID], LocalBlobData | None]) -> None:
    """Let `find`, a bound method whose object is held weakly, find data that no code refers to."""
    _finders.add(find)


def find_local(id: UUID) -> LocalBlobData | None:
    """Return the data with this id, from memory or a disk; None if there are none.

    A file of a user may have changed since its run ended, so the copy of the run comes first.
    """
    living = LocalBlobData.living(id)
    if living is not None and not isinstance(living, BlobFile):
        return living
    return _finders.find(id) or living
