"""Large arrays in the records of runs: kept as `.npy` with the run, and linked.

As JSON an image of 4 megapixels has 20 megabytes, and no journal should have it. In the record is a
link in its place, like that of a blob, with the dtype and shape beside it::

    {"href": "/blob/<id>", "media_type": "application/x-npy", "labthings:dtype": "uint16",
     "labthings:shape": [2048, 2048], "rel": "output", "size": 8388736}
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from uuid import UUID

from .blob_data import LocalBlobData, find_local
from .links import BLOB_PATH
from .npy import NPY, npy_parts, read_npy

if TYPE_CHECKING:
    from .npy import Array

LINKED_ABOVE: Final = 32 * 1024
"""Arrays with more bytes are linked in records."""
LARGEST_LISTS: Final = 64 * 1024**2
"""Arrays that have more bytes together are not written as nested lists: they stay links."""
_MARK: Final = b'"media_type":"%b","labthings:dtype":' % NPY.encode()
_LINK: Final = re.compile(
    rb'\{"href":"[^"]*%b/([0-9a-f-]{36})",%b"[a-z0-9]+","labthings:shape":\[[0-9,]*\],'
    rb'"rel":"output","size":([0-9]+)\}' % (BLOB_PATH.encode(), re.escape(_MARK))
)


class ArrayData(LocalBlobData):
    """An array as the content of a blob; it must not change until it is kept on the disk."""

    def __init__(self, array: Array, id: UUID) -> None:
        """Hold an array under a known id."""
        self._parts = npy_parts(array)
        self._media_type = NPY
        self._register(id)

    @property
    def size(self) -> int:
        """The number of bytes, of the `.npy` file."""
        return sum(map(len, self._parts))

    @property
    def content(self) -> bytes:
        """The whole `.npy` file."""
        return b"".join(self._parts)

    def open(self) -> IO[bytes]:
        """Open the `.npy` file for reading."""
        return io.BytesIO(self.content)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the `.npy` file; the data are not copied."""
        with Path(path).open("wb", buffering=0) as file:
            for part in self._parts:
                left = memoryview(part)
                while left:
                    left = left[file.write(left) or 0 :]


def array_link(array: Array, id: UUID) -> dict[str, Any]:
    """Return the link to an array that is kept."""
    size = sum(map(len, npy_parts(array)))
    return {
        "href": f"{BLOB_PATH}/{id}",  # first: see `links.absolute_links`
        "media_type": NPY,
        "labthings:dtype": array.dtype.name,
        "labthings:shape": list(array.shape),
        "rel": "output",
        "size": size,
    }


def has_array_links(json: bytes) -> bool:
    """Return whether there are links to arrays in JSON of a record."""
    return _MARK in json


def linked_array(json: bytes) -> UUID | None:
    """Return the id of the only array, of JSON that is nothing but a link to it."""
    found = _LINK.fullmatch(json)
    return None if found is None else UUID(found[1].decode())


def with_lists(json: bytes, write: Callable[[Array], bytes]) -> bytes:
    """Return JSON with arrays in the place of the links to them; may wait for a disk.

    `write` returns an array as JSON. The links stay where the arrays are too large for JSON, and
    where they are gone.
    """
    if sum(int(found[2]) for found in _LINK.finditer(json)) > LARGEST_LISTS:
        return json

    def lists(found: re.Match[bytes]) -> bytes:
        data = find_local(UUID(found[1].decode()))
        try:
            return found[0] if data is None else write(read_npy(data.content))
        except (OSError, ValueError):
            return found[0]

    return _LINK.sub(lists, json)
