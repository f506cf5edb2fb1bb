"""Uploads on the disk, until an action has used them or their time is over.

::

    <folder>/<blob id>         the bytes; of a resumable upload also before all have arrived
             <blob id>.json    media type, file name, length
             <blob id>.part    the bytes of another upload, which is lost when it is interrupted

A run that uses an upload has a copy of its own, which costs no bytes where the file system can give
a file a second name.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID, uuid4

from labthings_fastapi.exceptions import (
    BlobIncompleteError,
    BodyTooLargeError,
    OutputSpaceError,
    TooBusyError,
)
from labthings_fastapi.outputs.blob_data import BlobFile, LocalBlobData
from labthings_fastapi.outputs.on_disk import PART, delete_in_thread, write_whole
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.private_files import make_private_folder, open_private_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from labthings_fastapi.outputs.usage import Usage

LOGGER = own_logger("outputs")
FOLDER: Final = ".uploads"
UNUSED_SECONDS: Final = 3600.0
"""So long an upload stays that no run has used."""
UNFINISHED_SECONDS: Final = 24 * 3600.0
"""So long a resumable upload waits for its next bytes: a client may be switched off for a night."""
_GRACE: Final = 300.0
"""Seconds between the time from which an upload is not found any more and its deletion."""
MOST_UPLOADS: Final = 10_000
_CHECK_BYTES: Final = 64 * 1024 * 1024
"""So often the space for an upload of unknown length is looked at."""
_ABOUT: Final = ".json"
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Space(Protocol):
    """The folder of outputs that has the uploads: `KeptOutputs`."""

    usage: Usage
    limit: int | None

    def base(self) -> Path: ...
    def existing(self) -> Path | None: ...
    def fixed_bytes(self) -> int: ...
    def note_more(self) -> None: ...


class Upload:
    """One upload; for one thread at a time, except `close`."""

    def __init__(
        self, uploads: KeptUploads, id: UUID, about: dict[str, Any], *, is_found: bool = True
    ) -> None:
        self._uploads = uploads
        self.id = id
        self.about = about
        self.is_found = is_found
        """Whether its id leads to it, also after a restart: it is resumable or complete."""
        self._lock = threading.Lock()  # held while the file is written or closed
        self._file: int | None = None
        self._next_check = _CHECK_BYTES

    @property
    def length(self) -> int | None:
        """How many bytes it has when it is complete; None: not known before its end."""
        length: int | None = self.about["length"]
        return length

    @property
    def media_type(self) -> str:
        """The media type that the client gave."""
        return str(self.about["media_type"])

    @property
    def path(self) -> Path:
        """The file with the bytes."""
        path = self._uploads.folder / self.id.hex
        return path if self.is_found else path.with_suffix(PART)

    @property
    def received(self) -> int:
        """How many bytes have arrived and are in the file."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            raise BlobIncompleteError(self.id, None, self.length) from None

    def is_short(self) -> bool:
        """Return whether bytes are still to come."""
        return self.length is None or _size(self.path) < self.length

    @property
    def expires(self) -> float:
        """Until when it waits for its next bytes, or for a run that uses it; seconds since 1970."""
        is_whole = self.received == self.length
        seconds = UNUSED_SECONDS if is_whole else UNFINISHED_SECONDS
        return self.path.stat().st_mtime + seconds

    def write(self, data: bytes | bytearray) -> None:
        """Append bytes.

        Raises:
            OutputSpaceError: there is no space for them.
            BodyTooLargeError: there are more than the declared length, or than one may send.
        """
        with self._lock:
            if self._file is None:
                flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
                self._file = open_private_file(self.path, flags)
            size = os.fstat(self._file).st_size + len(data)
            self._check(size, len(data))
            view = memoryview(data)
            try:
                while view:
                    written = os.write(self._file, view)
                    view = view[written:]
                    self._uploads.space.usage.add(owner_of(self.id), written)
            except OSError as error:
                if error.errno in _NO_SPACE:
                    raise OutputSpaceError(f"The disk of the server is full: {error}.") from error
                raise
        self._uploads.space.note_more()

    def _check(self, size: int, more: int) -> None:
        if self.length is not None:
            if size > self.length:
                raise BodyTooLargeError(
                    f"Upload {self.id} has {self.length} bytes, and more were sent."
                )
            return
        self._uploads.check_length(size)
        if size > self._next_check:
            self._next_check = size + _CHECK_BYTES
            self._uploads.check_space(more)

    def close(self) -> None:
        """Close the file; the next `write` opens it again. Any thread; idempotent."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                os.close(file)


class KeptUploads:
    """The uploads in a folder of outputs; any thread may use it, and it may wait for the disk."""

    def __init__(self, space: Space, clock: Callable[[], float] = time.time) -> None:
        """Make nothing yet; `clock` returns seconds since 1970."""
        self.space = space
        self.most_bytes: int | None = None
        """The largest upload; None: any."""
        self._clock = clock
        self._lock = threading.Lock()  # guards the next
        self._incomplete: dict[UUID, Upload] | None = None

    @property
    def folder(self) -> Path:
        """The folder with the uploads; it need not exist."""
        return self.space.base() / FOLDER

    def begin(
        self, media_type: str, filename: str | None, length: int | None, *, resumable: bool
    ) -> Upload:
        """Begin an upload; of a resumable one the length must be known.

        Raises:
            BodyTooLargeError: it is larger than `most_bytes`.
            OutputSpaceError: there is no space for it.
            TooBusyError: there are too many that no run has used.
            OSError: it cannot be written.
        """
        self.check_length(length or 0)
        make_private_folder(self.folder)
        if sum(1 for _ in self._abouts()) >= MOST_UPLOADS:
            raise TooBusyError(
                f"{MOST_UPLOADS} uploads wait to be used by a run. They are deleted "
                f"{UNUSED_SECONDS:g} s after they arrived."
            )
        about = {"media_type": media_type, "filename": filename, "length": length}
        upload = Upload(self, uuid4(), about, is_found=resumable)
        with self._lock:  # so that two that begin at once do not both get the last space
            self._check_space(length or 0)
            self._unfinished()[upload.id] = upload
        try:
            if resumable:
                self._write_about(upload)
            upload.write(b"")
        except BaseException:
            self.abort(upload)
            raise
        return upload

    def check_length(self, length: int) -> None:
        """Refuse an upload that is too large.

        Raises:
            BodyTooLargeError: it is larger than `most_bytes`.
        """
        if self.most_bytes is not None and length > self.most_bytes:
            raise BodyTooLargeError(
                f"An upload may have at most {self.most_bytes} bytes: see `max_upload_bytes` in "
                "the server's configuration."
            )

    def check_space(self, more: int) -> None:
        """Refuse an upload for which there is no space.

        Raises:
            OutputSpaceError: the quota or the disk has too little.
        """
        with self._lock:
            self._check_space(more)

    def _check_space(self, more: int) -> None:
        limit = self.space.limit
        promised = sum(
            max(0, (each.length or 0) - _size(each.path)) for each in self._unfinished().values()
        )
        if limit is not None and (fixed := self.space.fixed_bytes()) + promised + more > limit:
            raise OutputSpaceError(
                f"There is no space for {more} bytes: pinned and open runs and other uploads take "
                f"{fixed + promised} of the {limit} bytes of `max_output_bytes`. Unpin runs, or "
                "raise it in the server's configuration."
            )
        free = shutil.disk_usage(self.folder).free
        if promised + more > free:
            raise OutputSpaceError(
                f"There is no space for {more} bytes: the disk of the server has {free} bytes "
                f"free, and other uploads need {promised} of them."
            )

    def _unfinished(self) -> dict[UUID, Upload]:
        """Return those of which bytes are still to come; with the lock held."""
        if self._incomplete is None:
            known = [self._read(id) for id in self._abouts()]
            self._incomplete = {each.id: each for each in known if each and each.is_short()}
        return self._incomplete

    def _finish(self, id: UUID) -> None:
        with self._lock:
            self._unfinished().pop(id, None)

    def _abouts(self) -> Iterable[UUID]:
        """Yield the ids of all that are complete or resumable."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.folder):
                if name.endswith(_ABOUT):
                    with contextlib.suppress(ValueError):
                        yield UUID(name.removesuffix(_ABOUT))

    def _write_about(self, upload: Upload) -> None:
        text = json.dumps(upload.about)
        path = (self.folder / upload.id.hex).with_suffix(_ABOUT)
        write_whole(path, lambda part: part.write_text(text, "utf-8"))

    def complete(self, upload: Upload) -> LocalBlobData:
        """Return the data of an upload of which all bytes have arrived.

        Raises:
            OSError: the files cannot be written.
        """
        upload.close()
        if not upload.is_found:
            part = upload.path
            upload.about = {**upload.about, "length": upload.received}
            self._write_about(upload)
            upload.is_found = True
            part.replace(upload.path)
        self._finish(upload.id)
        data = self.data_of(upload.id)
        if data is None:  # its time was over, for example because the clock was set
            raise BlobIncompleteError(upload.id, None, upload.length)
        return data

    def abort(self, upload: Upload) -> None:
        """Delete an upload that is not complete; its file goes in a thread."""
        delete_in_thread(lambda: self._delete(upload))

    def _delete(self, upload: Upload) -> None:
        with contextlib.suppress(OSError):
            upload.close()
        path = self.folder / upload.id.hex
        # First what leads to the file: a kill between the two leaves nothing that can be found.
        for each in (path.with_suffix(_ABOUT), path, path.with_suffix(PART)):
            with contextlib.suppress(OSError):
                each.unlink(missing_ok=True)
        self._finish(upload.id)
        if not path.exists():
            self.space.usage.forget(owner_of(upload.id))

    def find(self, id: UUID) -> Upload | None:
        """Return a resumable upload, or one that is complete; None if there is none any more."""
        upload = self._read(id)
        if upload is None or self._is_over(upload, 0.0):
            return None
        return upload

    def _read(self, id: UUID) -> Upload | None:
        folder = self.space.existing()
        if folder is None:
            return None
        try:
            about = json.loads((folder / FOLDER / f"{id.hex}{_ABOUT}").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        keys = ("media_type", "filename", "length")
        if not isinstance(about, dict) or any(key not in about for key in keys):
            return None
        return Upload(self, id, about)

    def _is_over(self, upload: Upload, grace: float) -> bool:
        # Code that has the blob, such as a run that works with it, must be able to read the file.
        try:
            over = self._clock() > upload.expires + grace
        except (BlobIncompleteError, OSError):
            return True  # the file is gone
        return over and LocalBlobData.living(upload.id) is None

    def data_of(self, id: UUID) -> LocalBlobData | None:
        """Return the data of an upload; None if there is none any more.

        Raises:
            BlobIncompleteError: not all bytes have arrived.
        """
        upload = self.find(id)
        if upload is None:
            return None
        received = upload.received
        if received != upload.length:
            raise BlobIncompleteError(id, received, upload.length)
        name = upload.about["filename"]
        filename = name if isinstance(name, str) else None
        return BlobFile.kept(id, upload.path, upload.media_type, filename)

    def used(self, id: UUID) -> None:
        """Do not count an upload any more: a run has a second name of its file, and counts it."""
        self.space.usage.forget(owner_of(id))

    def expire(self) -> None:
        """Delete the uploads whose time is over."""
        if self.space.existing() is None:
            return
        for id in list(self._abouts()):
            upload = self._read(id)
            if upload is not None and self._is_over(upload, _GRACE):
                self._delete(upload)

    def tidy(self, before: float) -> None:
        """Count what a former process has left; delete what is older than `before` and lost."""
        if not self.folder.is_dir():
            return
        for path in list(self.folder.iterdir()):
            with contextlib.suppress(OSError, ValueError):
                id = UUID(path.stem)
                if self._read(id) is not None:
                    self.space.usage.measured(owner_of(id), _size(self.folder / id.hex))
                elif path.stat().st_mtime < before:
                    path.unlink()


def owner_of(id: UUID) -> str:
    """Return under which name the bytes of an upload are counted; no run has such a name."""
    return f"upload/{id.hex}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
