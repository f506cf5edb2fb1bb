"""Arrays on their way to and from a server: as files of numpy, where the server offers them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from labthings_fastapi.exceptions import ClientError
from labthings_fastapi.outputs.npy import NPY, NPZ, is_array, npy_bytes, read_npy
from labthings_fastapi.schemas.array_files import ArrayFile, file_parts
from labthings_fastapi.schemas.arrays import DTYPE, ArrayType

from .problems import request_error
from .steps import Answer, Request, Steps

if TYPE_CHECKING:
    from labthings_fastapi.outputs.npy import Array

    from .description import Description

_PLAIN: Final = frozenset({bool, int, float, str, type(None)})
ARRAY_SECONDS: Final = 60.0
"""How long an array may take that is fetched by itself."""
ACCEPT: Final = {"Accept": f"{NPY}, {NPZ};q=0.9, application/json;q=0.5"}
"""Asks for arrays as they are; a run of ours then has links in the place of large ones."""


def has_numpy() -> bool:
    """Whether arrays can be made here."""
    return importlib.util.find_spec("numpy") is not None


def holds_arrays(value: Any) -> bool:
    """Whether there are arrays of numpy in a value."""
    if isinstance(value, Mapping):
        return any(map(holds_arrays, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_arrays, value))
    return is_array(value)


def array_body(value: Any, schema: Any, media_type: str) -> tuple[bytes, str] | None:
    """Return a body with arrays, and its media type; None: it has to be sent as JSON.

    `schema` is the data schema of the value, `media_type` the one that the server offers.
    """
    value = _fitted(value, schema)
    if media_type == NPY and isinstance(value, Mapping):
        if len(value) == 1 and is_array(array := next(iter(value.values()))):
            value = array
        else:
            media_type = NPZ
    try:
        if media_type == NPY:
            return npy_bytes(value), NPY
        return b"".join(file_parts(value, NPZ) or ()), NPZ
    except (ValueError, TypeError, AttributeError):  # no numbers: what JSON makes of it is refused
        return None


def _fitted(value: Any, schema: Any) -> Any:
    """Return a value whose arrays have the described dtype, where their numbers allow that.

    So arrays of integers, which numpy makes by default, are taken as lists of them would be.
    """
    found = schema if isinstance(schema, Mapping) else {}
    if is_array(value):
        return _cast(value, found)
    if isinstance(value, Mapping):
        members = found.get("properties") or {}
        return {name: _fitted(each, members.get(name)) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_fitted(each, found.get("items")) for each in value]
    return value


def _cast(array: Array, schema: Mapping[str, Any]) -> Array:
    import numpy as np

    described = array_schema(schema)
    if described is None:
        return array
    try:
        wanted = np.dtype(described[DTYPE])
    except TypeError:  # "any", or a family
        return array
    if wanted == array.dtype or np.can_cast(array.dtype, wanted, "safe"):
        return array
    numbers = "biufc".find(array.dtype.kind), "biufc".find(wanted.kind)
    if min(numbers) < 1 or (array.dtype.kind == "c" and wanted.kind != "c"):
        return array  # the server says what it wants
    with np.errstate(all="ignore"):
        cast = array.astype(wanted)
    return cast if wanted.kind in "fc" or np.array_equal(cast, array) else array


def array_schema(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part of a data schema that describes an array of numpy; None if none does."""
    if DTYPE in schema:
        return schema
    branches = schema.get("oneOf")
    for each in branches if isinstance(branches, list) else ():
        if isinstance(each, Mapping) and DTYPE in each:
            return each
    return None


def described_array(value: Any, described: Mapping[str, Any]) -> Any:
    """Return nested lists as an array, where numpy is there and they are one."""
    try:
        return ArrayType.of_schema(described).checked(value)
    except (ImportError, ValueError, TypeError):  # another branch of a union, or another server
        return value


def is_array_answer(answer: Answer) -> bool:
    """Whether an answer is a file of arrays."""
    return answer.media_type in (NPY, NPZ)


def array_value(answer: Answer, what: str) -> Any:
    """Return the value in an answer that is a file of arrays.

    Raises:
        ClientError: the file is damaged, or numpy is missing.
    """
    body = answer.body if isinstance(answer.body, bytearray) else bytearray(answer.body)
    try:
        if answer.media_type == NPY:
            return read_npy(body)
        return ArrayFile(answer.media_type, body).value(what, {})
    except ImportError:
        raise ClientError(f"{what}: the server sent an array, and numpy is missing.") from None
    except ValueError as error:
        raise ClientError(f"{what}: {error}.") from error


def has_links(value: Any) -> bool:
    """Whether there are links to arrays in a value."""
    if isinstance(value, dict):
        return (DTYPE in value and "href" in value) or any(map(has_links, value.values()))
    # Long lists of numbers are looked at without a loop in Python.
    return (
        isinstance(value, list)
        and not _PLAIN.issuperset(map(type, value))
        and any(map(has_links, value))
    )


def filled(value: Any, description: Description, *, lists: bool) -> Steps[Any]:
    """Fetch the arrays to which there are links in a value; with `lists`, as nested lists.

    Raises, in the generator, `ClientError` if one cannot be fetched.
    """
    if not has_links(value) or not has_numpy():
        return value
    if isinstance(value, list):
        made = []
        for each in value:
            made.append((yield from filled(each, description, lists=lists)))  # noqa: PERF401
        return made
    if not (DTYPE in value and "href" in value):
        members = {}
        for name, each in value.items():
            members[name] = yield from filled(each, description, lists=lists)
        return members
    url = description.resolve(str(value["href"]))
    answer: Answer = yield Request("GET", url, seconds=ARRAY_SECONDS)
    if not answer.ok:
        raise request_error(answer, f"The array at {url} cannot be fetched")
    array = array_value(answer, f"The array at {url}")
    return array.tolist() if lists else array
