"""What an invocation leaves besides its output: values that it yields, and files."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.outputs.array_data import LINKED_ABOVE, ArrayData, array_link
from labthings_fastapi.outputs.blob_data import BlobFile, LocalBlobData
from labthings_fastapi.outputs.folder_files import FolderFile, files_in, find_in
from labthings_fastapi.outputs.kept import KeptOutputs
from labthings_fastapi.outputs.links import BareLinks
from labthings_fastapi.own_log import OwnLogger

from .invocation_log import InvocationLog
from .logs import invocations_logger

KEPT_RESULTS = 10_000
OBJECTS_PER_BYTE = 3
"""Input and output are kept as JSON and as objects, which are about twice as large."""


def size_in_memory(
    final: InvocationRecord,
    log: InvocationLog | None,
    results: InvocationResults | None,
    blobs: int = 0,
) -> int:
    """Return about how many bytes an invocation keeps that has ended with this record.

    `blobs` is the number of bytes of its blobs in memory.
    """
    size = len(final.input) + len(final.output or b"")
    if log is not None:
        size += log.size()
    if results is not None:
        size += results.size()
    return OBJECTS_PER_BYTE * size + blobs


class InvocationResults:
    """The newest results of a generator action, and how many there were. Any thread may read.

    `publish` is called under the invocation's lock and must not block; `deliver` without the lock.
    """

    __slots__ = ("_deliver", "_items", "_lock", "_publish", "count")

    def __init__(
        self,
        lock: threading.RLock | None = None,
        publish: Callable[[int, Any, bytes], None] | None = None,
        deliver: Callable[[], None] | None = None,
        kept: int = KEPT_RESULTS,
    ) -> None:
        self._lock = threading.RLock() if lock is None else lock
        self._publish = publish
        self._deliver = deliver
        self._items: deque[tuple[Any, bytes]] = deque(maxlen=kept)
        self.count = 0

    def add(self, value: Any, json: bytes) -> None:
        with self._lock:
            self._items.append((value, json))
            self.count += 1
            if self._publish is not None:
                self._publish(self.count, value, json)
        if self._deliver is not None:
            self._deliver()

    def detach(self) -> None:
        self._publish = self._deliver = None

    def values(self) -> list[Any]:
        with self._lock:
            return [value for value, _ in self._items]

    def size(self) -> int:
        """Return the number of bytes of the values kept, as JSON."""
        with self._lock:
            return sum(len(json) for _, json in self._items)

    @property
    def length(self) -> int:
        """How many values are kept."""
        return self._items.maxlen or 0

    @property
    def dropped(self) -> int:
        """How many values are no longer kept, the oldest."""
        with self._lock:
            return self.count - len(self._items)

    def since(self, number: int) -> tuple[list[bytes], int]:
        """Return the values kept after the first `number` ones, and how many there were in all."""
        with self._lock:
            length = max(0, min(self.count - number, len(self._items)))
            new = islice(reversed(self._items), length)
            return [json for _, json in new][::-1], self.count

    def json(self) -> bytes:
        with self._lock:
            return b"[" + b",".join(json for _, json in self._items) + b"]"


class InvocationFiles:
    """The folder of an invocation, made on first use; any thread may use it.

    `make` makes it, and it stays. Without `make` it is temporary, and goes with this object.
    """

    __slots__ = ("__weakref__", "_directory", "_lock", "_make")

    def __init__(
        self, make: Callable[[], Path] | None = None, directory: Path | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._make = make
        self._directory = directory

    @property
    def directory(self) -> Path:
        with self._lock:
            if self._directory is None:
                self._directory = self._temporary() if self._make is None else self._make()
                self._make = None
            return self._directory

    def _temporary(self) -> Path:
        made = tempfile.mkdtemp(prefix="labthings-run-")
        weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        return Path(made)

    def all(self) -> list[FolderFile]:
        """Return all files, in the order of their names; may wait for the disk."""
        with self._lock:
            directory = self._directory
        return [] if directory is None else files_in(directory)

    def names(self) -> list[str]:
        """Return the names of all files, in their order; may wait for the disk."""
        return [each.name for each in self.all()]

    def find(self, name: str) -> FolderFile | None:
        """Return the file of that name, or None; names that lead out of the folder find nothing."""
        with self._lock:
            directory = self._directory
        return None if directory is None else find_in(directory, name)


class BlobsOfInvocation(BareLinks):
    """The links to blobs in the JSON of one invocation; keeps the blobs as long as its record.

    For the threads of that invocation.
    """

    __slots__ = ("_id", "_name", "_outputs", "in_memory")

    def __init__(self, id: UUID, name: str, outputs: Callable[[], KeptOutputs | None]) -> None:
        """Name those that have no name of their own after the action: `camera-capture-….jpg`."""
        self._id = id
        self._name = name
        self._outputs = outputs
        self.in_memory = 0
        """The number of bytes of those that are in memory."""

    def publish(self, data: Any) -> str:
        """Return the link to the data of a blob, which are kept."""
        outputs = self._outputs()
        if isinstance(data, LocalBlobData):
            data.suggest_filename(self._name)
            if not isinstance(data, BlobFile):
                self.in_memory += data.size or 0
            if outputs is not None:
                self._keep(data, outputs)
        return super().publish(data)

    def link_array(self, array: Any, _path: str) -> Any:
        """Return the link to a large array, which is kept; others, and unkept ones, as they are."""
        outputs = self._outputs()
        if outputs is None or array.nbytes <= LINKED_ABOVE:
            return array
        id = uuid4()
        return array_link(array, id) if self.keep_array(ArrayData(array, id)) else array

    def keep_array(self, data: ArrayData) -> bool:
        """Keep an array, which stays in memory too as long as the invocation; say if it is kept."""
        outputs = self._outputs()
        self.in_memory += data.size
        data.suggest_filename(self._name)
        return outputs is not None and self._keep(data, outputs)

    def _keep(self, data: LocalBlobData, outputs: KeptOutputs) -> bool:
        try:
            outputs.keep_blob(self._id, data)
        except OSError as error:
            text = "Blob %s could not be kept on the disk, and is lost when the server stops: %s"
            OwnLogger(invocations_logger()).warning(text, data.id, error)
            return False
        return True
