"""Values with arrays as files: `.npy` for one array, `.npz` for several and what is beside them.

The `.npz` of a value has each array under the path of its place (`image`, `frames.0.pixels`), so
that `numpy.load` finds it, and `value.json`: the value, with `{"labthings:member": "image"}` in the
place of an array. Who sends one may leave `value.json` out; then each member is an argument.

Pure functions, for any thread; those that read or write an array import numpy.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from labthings_fastapi.outputs.npy import (
    NPY,
    NPZ,
    is_array,
    npy_parts,
    npz_parts,
    read_npy,
    read_npz,
)

from .arrays import DTYPE
from .json_text import check_budget, defect
from .wire_values import to_wire_json

if TYPE_CHECKING:
    from .arrays import Array

ARRAY_MEDIA_TYPES: Final = (NPY, NPZ)
VALUE: Final = "value.json"
MEMBER: Final = "labthings:member"
_LEAVES: Final = frozenset({bool, int, float, str, bytes, type(None)})
LARGEST: Final = 256 * 1024**2
"""The most bytes that the arrays of one request may have, once they are not compressed."""


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """The body of a request that is no JSON. The arrays in it share its memory."""

    media_type: str
    data: bytearray

    def __len__(self) -> int:
        return len(self.data)

    def fingerprint(self) -> bytes:
        """Return a short text that another file has only by chance: 1 of 4,000,000,000.

        It finds a mistake and stops no attack: a digest that does takes longer than all the rest.
        """
        return b"%b %d %d" % (self.media_type.encode(), len(self.data), zlib.crc32(self.data))

    def value(self, where: str, described: Mapping[str, Any]) -> Any:
        """Return what is in it; `described` is the data schema of the value.

        Raises:
            ValueError: it is no such file, or it is not clear what its array is.
            BodyTooLargeError: its JSON has too many items.
        """
        if self.media_type == NPY:
            array = _native(read_npy(self.data))
            return array if is_described(described) else {_only_array(described): array}
        return _value_of_npz(self.data, where, described)


def is_described(schema: Any) -> bool:
    """Whether the values of a data schema are arrays of numpy, or also may be something else."""
    if not isinstance(schema, Mapping):
        return False
    return DTYPE in schema or any(map(is_described, schema.get("oneOf", ())))


def array_members(described: Mapping[str, Any]) -> list[str]:
    """Return the names of the members that are arrays."""
    properties = described.get("properties", {})
    return [name for name, member in properties.items() if is_described(member)]


def _only_array(described: Mapping[str, Any]) -> str:
    names = array_members(described)
    if len(names) != 1:
        text = f"several arrays ({', '.join(names)})" if names else "no array by itself"
        raise ValueError(
            f"the body is one array, and the input has {text}: send {NPZ}, whose members have the "
            "names of the arguments"
        )
    return names[0]


def _native(array: Array) -> Array:
    """Return an array in the byte order of this machine, which drivers in C expect."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _value_of_npz(data: bytearray, where: str, described: Mapping[str, Any]) -> Any:
    found, files = read_npz(data, LARGEST)
    arrays = {name: _native(array) for name, array in found.items()}
    text = files.pop(VALUE, None)
    if files:
        raise ValueError(f"the .npz file has a member {min(files)!r}, which is no array")
    if text is None:
        if is_described(described) and len(arrays) == 1:
            return next(iter(arrays.values()))
        properties = described.get("properties", {})
        # Of `numpy.savez(image=…, gain=2.5)`: a number is an array there.
        return {
            name: array if is_described(properties.get(name, {DTYPE: None})) else array.tolist()
            for name, array in arrays.items()
        }
    check_budget(text, where)
    wrong = defect(text)
    if wrong is not None:
        raise ValueError(f"{VALUE} in the .npz file is no JSON: {wrong}")
    used: set[str] = set()
    value = _filled(from_json(text), arrays, used)
    if unused := arrays.keys() - used:
        raise ValueError(f"{VALUE} in the .npz file does not say where {min(unused)!r} belongs")
    return value


def _filled(value: Any, arrays: Mapping[str, Array], used: set[str]) -> Any:
    """Return a value with the arrays in their places."""
    if isinstance(value, list):
        return [_filled(each, arrays, used) for each in value]
    if not isinstance(value, dict):
        return value
    name = value.get(MEMBER)
    if len(value) == 1 and isinstance(name, str):
        if name not in arrays:
            raise ValueError(f"the .npz file has no array {name!r}, which {VALUE} names")
        used.add(name)
        return arrays[name]
    return {key: _filled(each, arrays, used) for key, each in value.items()}


def replaced_arrays(value: Any, replace: Callable[[Array, str], Any], path: str = "") -> Any:
    """Return a copy of builtin containers with `replace(array, path)` for each array in them."""
    if is_array(value):
        return replace(value, path)
    if isinstance(value, list | tuple) and _LEAVES.issuperset(map(type, value)):
        return value  # the usual case, also of long lists
    if isinstance(value, Mapping):
        return {
            key: replaced_arrays(each, replace, f"{path}.{key}" if path else str(key))
            for key, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [
            replaced_arrays(each, replace, f"{path}.{index}" if path else str(index))
            for index, each in enumerate(value)
        ]
    return value


def file_parts(value: Any, media_type: str, *, keep_naive: bool = False) -> list[Any] | None:
    """Return the parts of a `.npy` or `.npz` file with a value of builtin types and arrays.

    The data of the arrays are not copied. None: the value is no single array, for a `.npy`.

    Raises:
        Exception: a part of the value has no JSON form.
    """
    if media_type == NPY:
        return list(npy_parts(value)) if is_array(value) else None
    arrays: dict[str, Array] = {}

    def take(array: Array, path: str) -> Any:
        name = stem = path.replace("/", "_").replace("\\", "_") or "value"
        while name in arrays:
            name = f"{stem}-{len(arrays)}"
        arrays[name] = array
        return {MEMBER: name}

    placed = replaced_arrays(value, take)
    return npz_parts(arrays, {VALUE: to_wire_json(placed, keep_naive=keep_naive)})
