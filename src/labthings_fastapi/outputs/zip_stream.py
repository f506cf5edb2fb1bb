"""Files as one zip, made while it is sent; stored, for images and arrays hardly get smaller."""

from __future__ import annotations

import io
import os
import zipfile
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PIECE: Final = 256 * 1024


class _Sink(io.RawIOBase):
    """What is written, until it is taken."""

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, data: Any) -> int:
        self._parts.append(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)


def zip_pieces(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a zip of files by name, in pieces; each step reads a little from the disk.

    Of a file that is being written, it has the bytes that were there when its turn came. One that
    has been deleted meanwhile is left out.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for name, path in files:
            try:
                file = path.open("rb", buffering=0)
            except OSError:
                continue
            with file:
                info = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
                info.file_size = left = os.fstat(file.fileno()).st_size
                with archive.open(info, "w") as member:
                    while left and (piece := file.read(min(PIECE, left))):
                        left -= len(piece)
                        member.write(piece)
                        yield sink.take()
            yield sink.take()
    yield sink.take()
