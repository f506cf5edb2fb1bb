"""What invocations leave on the disk: files, blobs, and outputs too large for a record.

It stays as long as the journal has the invocation, which deletes both together::

    <folder>/<id of the invocation>/files/…            written by the action itself
                                    blobs/<blob id>    and <blob id>.json, its media type
                                    output             JSON
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.private_files import FILE_MODE, make_private_folder

from .blob import Blob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LOGGER = own_logger("outputs")
_DELETED: Final = ".deleted-"
_BLOB_ID: Final = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})")


class KeptOutputs:
    """The folders of invocations in one folder, which is made on first use.

    Any thread may use it, and each method may wait for the disk. Without a `folder`, a temporary
    one is made, which is deleted with this object or at the end of the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Make nothing yet."""
        self._lock = threading.Lock()  # guards the next
        self._folder = folder

    def _base(self) -> Path:
        with self._lock:
            if self._folder is None:
                made = tempfile.mkdtemp(prefix="labthings-runs-")
                weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
                self._folder = Path(made)
            return self._folder

    def _of(self, run: UUID, name: str) -> Path:
        folder = self._base() / run.hex / name
        make_private_folder(folder)
        return folder

    def files_folder(self, run: UUID) -> Path:
        """Return the folder for files of an invocation, and make it.

        Raises:
            OSError: it cannot be made.
        """
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
        _write(target, lambda path: path.write_bytes(output))

    def output(self, run: UUID) -> bytes | None:
        """Return a kept output; None if there is none."""
        folder = self._folder
        if folder is not None:
            with contextlib.suppress(FileNotFoundError):
                return (folder / run.hex / "output").read_bytes()
        return None

    def keep_blob(self, run: UUID, blob: Blob) -> str:
        """Keep a copy of a blob with an invocation; return the id under which it is found.

        A file in a temporary folder of the blob, or in the folder of the invocation, is not copied
        where the file system can give it a second name.

        Raises:
            OSError: it cannot be written.
        """
        target = self._of(run, "blobs") / blob.id
        if not target.exists():
            about = json.dumps({"media_type": blob.media_type})
            _write(target.with_suffix(".json"), lambda path: path.write_text(about, "utf-8"))
            stays = blob.is_temporary or self._is_in_folder_of(run, blob)
            _write(target, lambda path: _copy(blob, path, link=stays))
        return f"{run.hex}.{blob.id}"

    def _is_in_folder_of(self, run: UUID, blob: Blob) -> bool:
        folder = self.find_files_folder(run)
        return folder is not None and blob.path is not None and blob.path.is_relative_to(folder)

    def find_blob(self, id: str) -> Blob | None:
        """Return a kept blob by the id that `keep_blob` gave; None if there is none."""
        found, folder = _BLOB_ID.fullmatch(id), self._folder
        if found is None or folder is None:
            return None
        path = folder / found[1] / "blobs" / found[2]
        try:
            about = json.loads(path.with_suffix(".json").read_text("utf-8"))
            return Blob(path=path, media_type=str(about["media_type"])) if path.is_file() else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def delete(self, runs: Iterable[UUID]) -> None:
        """Delete everything of these invocations; the files themselves go in a thread."""
        folder, found = self._folder, False
        if folder is None:
            return
        for run in runs:
            with contextlib.suppress(FileNotFoundError):
                try:
                    (folder / run.hex).rename(folder / f"{_DELETED}{uuid4().hex}")
                    found = True
                except OSError as error:
                    if not isinstance(error, FileNotFoundError):
                        LOGGER.warning("The files of run %s were not deleted: %s", run, error)
        if found:
            _start(lambda: self._delete_renamed(folder))

    @staticmethod
    def _delete_renamed(folder: Path) -> None:
        # Also those that an earlier process has left.
        for each in list(folder.glob(f"{_DELETED}*")):
            shutil.rmtree(each, ignore_errors=True)


def _start(function: Callable[[], None]) -> None:
    thread = threading.Thread(target=function, name="labthings-deleting", daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        LOGGER.warning("Deleted files stay on the disk until the next are deleted: %s", error)


def _write(target: Path, write: Callable[[Path], object]) -> None:
    """Write a file that is there whole or not at all, also if the process is killed."""
    part = target.with_name(f"{target.name}.{uuid4().hex}.part")
    try:
        write(part)
        part.chmod(FILE_MODE)
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _copy(blob: Blob, path: Path, *, link: bool) -> None:
    if link and blob.path is not None:
        with contextlib.suppress(OSError):  # another disk, or a file system without links
            os.link(blob.path, path)
            return
    blob.save(path)
