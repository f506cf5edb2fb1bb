"""numpy arrays as bytes: `.npy` for one array, `.npz` for several; never pickles.

The data of an array are not copied, on the way out or in. numpy is imported when one of these
functions is called, so that the package works without it. Pure functions, for any thread.
"""

from __future__ import annotations

import io
import math
import sys
import zipfile
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

NPY: Final = "application/x-npy"
"""The media type of one array, as `numpy.save` writes it."""
NPZ: Final = "application/x-npz"
"""The media type of several arrays, as `numpy.savez` writes them: a zip, not compressed."""
SENT_KINDS: Final = "biufc"
"""The kinds of dtypes that are sent: booleans, integers, floats and complex numbers."""

_MAGIC: Final = b"\x93NUMPY"
_ENDING: Final = ".npy"


def is_array(value: Any) -> bool:
    """Return whether a value is a numpy array; does not import numpy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def npy_parts(array: Array) -> tuple[bytes, memoryview]:
    """Return the header and the data of a `.npy` file.

    The data are those of the array itself, which must not change until they are sent. They are
    copied only where the array is not contiguous in memory.

    Raises:
        ValueError: the dtype is not of `SENT_KINDS`.
    """
    import numpy as np

    _require_sendable(array.dtype)
    if array.dtype.char in "gG":  # their form depends on the machine
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = np.ascontiguousarray(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    in_order = array if array.flags.c_contiguous else array.T
    return header.getvalue(), in_order.reshape(-1).view(np.uint8).data


def _require_sendable(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in SENT_KINDS or dtype.hasobject:
        raise ValueError(
            f"an array of dtype {dtype} cannot be sent: use booleans, integers, floats or complex "
            "numbers"
        )


def npy_bytes(array: Array) -> bytes:
    """Return an array as a `.npy` file."""
    return b"".join(npy_parts(array))


def read_npy(data: bytes | bytearray | memoryview) -> Array:
    """Return the array of a `.npy` file, which shares the memory of `data`.

    Raises:
        ValueError: it is no such file, is cut off, or holds something other than numbers.
    """
    import numpy as np

    view = memoryview(data).cast("B")
    if bytes(view[:6]) != _MAGIC:
        raise ValueError("it is no .npy file: it does not begin with \\x93NUMPY")
    file = io.BytesIO(view[: _longest_header(view)])
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, in_fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, in_fortran_order, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"version {version[0]}.{version[1]} is not supported")
    except Exception as error:  # numpy evaluates the header, and may raise almost anything
        raise ValueError(f"the header of the .npy file cannot be read: {error}") from error
    _require_sendable(dtype)
    shape = tuple(map(int, shape))
    if any(length < 0 for length in shape):
        raise ValueError(f"the .npy file has the impossible shape {shape}")
    count, begin = math.prod(shape), file.tell()
    expected = count * dtype.itemsize
    if len(view) - begin != expected:
        raise ValueError(
            f"the .npy file has {len(view) - begin} bytes of data, but an array of shape {shape} "
            f"and dtype {dtype} has {expected}"
        )
    flat = np.frombuffer(view, dtype, count, begin) if count else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if in_fortran_order else "C")


def _longest_header(view: memoryview) -> int:
    return min(len(view), 64 * 1024)


class _Parts(io.RawIOBase):
    """A file that keeps what is written to it, without copying."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.parts.append(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def seekable(self) -> bool:
        return False


def npz_parts(members: Mapping[str, Array], files: Mapping[str, bytes] | None = None) -> list[Any]:
    """Return the parts of a `.npz` file with these arrays by name, and with further files.

    Raises:
        ValueError: a dtype is not of `SENT_KINDS`.
    """
    target = _Parts()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            parts = npy_parts(array)
            with archive.open(f"{name}{_ENDING}", "w", force_zip64=True) as member:
                for part in parts:
                    member.write(part)
        for name, content in (files or {}).items():
            archive.writestr(name, content)
    return target.parts


def read_npz(
    data: bytes | bytearray | memoryview, limit: int
) -> tuple[dict[str, Array], dict[str, bytes]]:
    """Return the arrays of a `.npz` file by name, and its other files.

    `limit` bounds the bytes of all members together, which may be compressed.

    Raises:
        ValueError: it is no such file, or its members are larger than `limit`.
    """
    arrays: dict[str, Array] = {}
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info, content in _members(archive, limit):
                name = info.filename
                if name.endswith(_ENDING):
                    arrays[name.removesuffix(_ENDING)] = read_npy(content)
                else:
                    files[name] = bytes(content)
    except ValueError:
        raise
    except Exception as error:  # a damaged zip raises many kinds of errors
        raise ValueError(f"the .npz file cannot be read: {error}") from error
    return arrays, files


def _members(archive: zipfile.ZipFile, limit: int) -> Iterable[tuple[zipfile.ZipInfo, bytearray]]:
    left = limit
    names: set[str] = set()
    for info in archive.infolist():
        if info.filename in names:
            raise ValueError(f"the .npz file has two members called {info.filename!r}")
        names.add(info.filename)
        content = bytearray()
        with archive.open(info) as member:
            # The size that a zip states need not be true.
            while chunk := member.read(min(left + 1, 1024 * 1024)):
                content += chunk
                left -= len(chunk)
                if left < 0:
                    raise ValueError(
                        f"the members of the .npz file have more than {limit} bytes, the most "
                        "that is accepted at once"
                    )
        yield info, content
