"""The arrays in inputs and outputs of invocations: kept beside the journal, and shown as lists.

Outputs with arrays are rendered in threads, as an image has megabytes of JSON.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid5

from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.outputs.array_data import (
    LINKED_ABOVE,
    ArrayData,
    array_link,
    has_array_links,
    linked_array,
    with_lists,
)
from labthings_fastapi.outputs.blob_data import LocalBlobData, find_local
from labthings_fastapi.outputs.npy import NPY
from labthings_fastapi.schemas.array_files import replaced_arrays
from labthings_fastapi.schemas.wire_values import to_wire_json

_ACCEPTED: Final = NPY


def with_input_links(input: Any, run: UUID, keep: Callable[[ArrayData], Any] | None = None) -> Any:
    """Return the members of an input with links in the place of large arrays.

    Each call for one input finds the same ids: `keep`, later, gets the arrays themselves.
    """
    if sys.modules.get("numpy") is None:
        return input
    count = 0

    def link(array: Any, _path: str) -> Any:
        nonlocal count
        if array.nbytes <= LINKED_ABOVE:
            return array
        count += 1
        id = uuid5(run, f"input {count}")
        if keep is not None:
            keep(ArrayData(array, id))
        return array_link(array, id)

    return replaced_arrays(input, link)


def takes_arrays(accept: str | None) -> bool:
    """Whether a client names the form of arrays, so that it gets links instead of lists."""
    return accept is not None and _ACCEPTED in accept.lower()


async def shown_output(output: bytes | None, accept: str | None = None) -> bytes | None:
    """Return an output as a client gets it: arrays as lists, unless it takes arrays."""
    if output is None or not has_array_links(output) or takes_arrays(accept):
        return output
    return await asyncio.to_thread(with_lists, output, to_wire_json)


async def shown(record: InvocationRecord, accept: str | None = None) -> InvocationRecord:
    """Return a record with its output as a client gets it."""
    output = await shown_output(record.output, accept)
    return record if output is record.output else record._replace(output=output)


async def array_data(output: bytes) -> LocalBlobData | None:
    """Return the data of an output that is one large array; None: it is another, or gone."""
    id = linked_array(output) if has_array_links(output) else None
    return None if id is None else await asyncio.to_thread(find_local, id)
