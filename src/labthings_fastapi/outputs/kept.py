"""What invocations leave on the disk: files, blobs, and outputs too large for a record.

It stays as long as the journal has the invocation, which deletes both together::

    <folder>/<id of the invocation>/files/…            written by the action itself
                                    blobs/<blob id>    and <blob id>.json: media type, file name
                                    output             JSON
    <folder>/.blobs/<blob id>                          the ids of the invocations that have it
    <folder>/.uploads/…                                see `KeptUploads`
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.private_files import make_private_folder

from .blob_data import BlobFile, LocalBlobData, add_finder
from .housekeeping import Housekeeping
from .on_disk import PART, delete_in_thread, write_whole
from .uploads.kept import KeptUploads
from .usage import Usage, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LOGGER = own_logger("outputs")
_DELETED: Final = ".deleted-"
_INDEX: Final = ".blobs"
_ABOUT: Final = ".json"
_TEMPORARY: Final = "labthings-runs-"
_RUN: Final = re.compile("[0-9a-f]{32}")


class KeptOutputs:
    """The folders of invocations in one folder, which is made on first use.

    Any thread may use it, and each method may wait for the disk. Without a `folder`, a temporary
    one is made, which is deleted with this object or at the end of the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Make nothing yet."""
        self._lock = threading.Lock()  # guards the next
        self._folder = folder
        self._indexing = threading.Lock()  # held while a file of the index is changed
        self.usage = Usage()
        self.limit: int | None = None
        """The most bytes that blobs and files may have together; None: any number."""
        self._housekeeping: Housekeeping | None = None
        self._evictable: Callable[[], int] = lambda: 0
        self._made = time.time()
        self.uploads = KeptUploads(weakref.proxy(self))
        add_finder(self.find_blob)

    def keep_within(
        self, limit: int, evict: Callable[[], None], evictable: Callable[[], int] = lambda: 0
    ) -> None:
        """Call `evict`, in a thread, when there are more bytes than `limit`; until `stop`.

        `evictable` says how many bytes it could delete. What a killed process has left is deleted
        first.
        """
        self.limit = limit
        self._evictable = evictable
        self._housekeeping = Housekeeping(self, evict)

    def stop(self) -> None:
        """Look after the folder no more. Idempotent."""
        housekeeping, self._housekeeping = self._housekeeping, None
        if housekeeping is not None:
            housekeeping.stop()

    def excess(self) -> int:
        """Return how many bytes there are beyond the limit, as far as they were measured."""
        return 0 if self.limit is None else max(0, self.usage.total - self.limit)

    def measure(self) -> int:
        """Measure what has changed; return the bytes beyond the limit."""
        folder = self._folder
        if folder is not None:
            for owner in self.usage.take_changed():
                self.usage.measured(owner, size_of(folder / owner))
            self.uploads.expire()
        return self.excess()

    def fixed_bytes(self) -> int:
        """Return how many bytes there are that cannot be deleted for others; waits for a disk."""
        return self.usage.total - self._evictable()

    def tidy(self) -> None:
        """Delete what a killed process has left, and measure what there is."""
        folder = self._folder
        if folder is None or not folder.is_dir():
            return
        self._delete_renamed(folder)
        self.uploads.tidy(self._made)
        parts = [*folder.glob(f"{_INDEX}/*{PART}"), *folder.glob(f"*/*{PART}")]
        for run in list(folder.iterdir()):
            if _RUN.fullmatch(run.name):
                parts += (run / "blobs").glob(f"*{PART}")
                self.usage.measured(run.name, size_of(run))
        for part in parts:
            with contextlib.suppress(OSError):
                if part.stat().st_mtime < self._made:
                    part.unlink()

    def _count(self, run: UUID, size: int) -> None:
        self.usage.add(run.hex, size)
        self.note_more()

    def note_more(self) -> None:
        """Have the oldest outputs deleted, if there are too many bytes."""
        if self.excess() > 0 and self._housekeeping is not None:
            self._housekeeping.wake()

    def ended(self, run: UUID) -> None:
        """Measure the files of an invocation once more: it writes no more."""
        self.usage.end(run.hex)
        if self._housekeeping is not None and self.limit is not None:
            self._housekeeping.wake()

    def base(self) -> Path:
        """Return the folder, which is made if it is a temporary one."""
        with self._lock:
            if self._folder is None:
                _delete_of_ended_processes()
                made = tempfile.mkdtemp(prefix=f"{_TEMPORARY}{os.getpid()}-")
                weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
                self._folder = Path(made)
            return self._folder

    def existing(self) -> Path | None:
        """Return the folder, unless it is a temporary one that was not needed so far."""
        return self._folder

    def _of(self, run: UUID, name: str) -> Path:
        folder = self.base() / run.hex / name
        make_private_folder(folder)
        return folder

    def files_folder(self, run: UUID) -> Path:
        """Return the folder for files of an invocation, and make it.

        Raises:
            OSError: it cannot be made.
        """
        self.usage.begin(run.hex)
        return self._of(run, "files")

    def find_files_folder(self, run: UUID) -> Path | None:
        """Return the folder for files of an invocation, if it has one."""
        folder = self._folder
        found = None if folder is None else folder / run.hex / "files"
        return found if found is not None and found.is_dir() else None

    def keep_output(self, run: UUID, output: bytes) -> None:
        """Keep an output, as JSON.

        Raises:
            OSError: it cannot be written.
        """
        target = self._of(run, "blobs").with_name("output")
        write_whole(target, lambda path: path.write_bytes(output))
        self._count(run, len(output))

    def output(self, run: UUID) -> bytes | None:
        """Return a kept output; None if there is none."""
        folder = self._folder
        if folder is not None:
            with contextlib.suppress(FileNotFoundError):
                return (folder / run.hex / "output").read_bytes()
        return None

    def keep_blob(self, run: UUID, data: LocalBlobData) -> None:
        """Keep a copy of the data of a blob with an invocation.

        A file in a temporary folder of the blob, or in this folder, is not copied where the file
        system can give it a second name.

        Raises:
            OSError: it cannot be written.
        """
        target = self._of(run, "blobs") / data.id.hex
        if target.exists():
            return
        about = json.dumps({"media_type": data.media_type, "filename": data.filename})
        write_whole(target.with_suffix(_ABOUT), lambda path: path.write_text(about, "utf-8"))
        stays = getattr(data, "_temporary_directory", None) is not None or self._is_inside(data)
        write_whole(target, lambda path: _copy(data, path, link=stays))
        with self._indexing:
            self._write_index(data.id.hex, {*self._keepers(data.id.hex), run.hex})
        if target.stat().st_nlink > 1:
            self.uploads.used(data.id)
        self._count(run, target.stat().st_size)

    def _is_inside(self, data: LocalBlobData) -> bool:
        return isinstance(data, BlobFile) and data.path.is_relative_to(self.base())

    def _keepers(self, blob: str) -> list[str]:
        """Return the invocations that have a blob, as the index says."""
        try:
            return (self.base() / _INDEX / blob).read_text("ascii").split()
        except (FileNotFoundError, UnicodeDecodeError):
            return []

    def _write_index(self, blob: str, keepers: set[str]) -> None:
        folder = self.base() / _INDEX
        if keepers:
            make_private_folder(folder)
            text = "\n".join(sorted(keepers))
            write_whole(folder / blob, lambda path: path.write_text(text, "ascii"))
        else:
            (folder / blob).unlink(missing_ok=True)

    def find_blob(self, id: UUID) -> LocalBlobData | None:
        """Return the data of a kept blob or an upload; None if there is none.

        Raises:
            BlobIncompleteError: it is an upload of which not all bytes have arrived.
        """
        folder = self._folder
        if folder is None:
            return None
        for run in self._keepers(id.hex):
            path = folder / run / "blobs" / id.hex
            about = _read_about(path)
            if about is not None and path.is_file():
                name = about.get("filename")
                filename = name if isinstance(name, str) else None
                return BlobFile.kept(id, path, str(about["media_type"]), filename)
        return self.uploads.data_of(id)

    def delete(self, runs: Iterable[UUID]) -> None:
        """Delete everything of these invocations; the files themselves go in a thread."""
        folder, found = self._folder, False
        if folder is None:
            return
        for run in runs:
            with contextlib.suppress(FileNotFoundError):
                try:
                    (folder / run.hex).rename(folder / f"{_DELETED}{run.hex}.{uuid4().hex}")
                    found = True
                    self.usage.forget(run.hex)
                except OSError as error:
                    if not isinstance(error, FileNotFoundError):
                        LOGGER.warning("The files of run %s were not deleted: %s", run, error)
        if found:
            delete_in_thread(lambda: self._delete_renamed(folder))

    def _delete_renamed(self, folder: Path) -> None:
        # Also those that an earlier process has left.
        for each in list(folder.glob(f"{_DELETED}*")):
            run = each.name.removeprefix(_DELETED).partition(".")[0]
            with contextlib.suppress(FileNotFoundError):  # another thread has deleted it
                for about in list(each.glob(f"blobs/*{_ABOUT}")):
                    with self._indexing, contextlib.suppress(OSError):
                        self._write_index(about.stem, {*self._keepers(about.stem)} - {run})
            shutil.rmtree(each, ignore_errors=True)


def _delete_of_ended_processes() -> None:
    """Delete temporary folders of processes that were killed."""
    if sys.platform != "win32":  # nobody can ask there whether a process exists
        for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*-*"):
            pid = folder.name.removeprefix(_TEMPORARY).partition("-")[0]
            try:
                if pid.isdigit() and folder.stat().st_uid == os.getuid():
                    os.kill(int(pid), 0)
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)
            except (OSError, OverflowError):
                continue


def _read_about(path: Path) -> dict[str, Any] | None:
    try:
        about = json.loads(path.with_suffix(_ABOUT).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) and "media_type" in about else None


def _copy(data: LocalBlobData, path: Path, *, link: bool) -> None:
    if link and isinstance(data, BlobFile):
        with contextlib.suppress(OSError):  # another disk, or a file system without links
            os.link(data.path, path)
            return
    data.save(path)
