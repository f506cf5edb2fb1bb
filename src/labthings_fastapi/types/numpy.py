"""Arrays of numpy in type hints.

numpy's own hints do as well: `np.ndarray`, `numpy.typing.NDArray[np.uint16]`, and
`np.ndarray[tuple[int, int], np.dtype[np.uint16]]`, which has two axes. This module needs numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import PlainSerializer, RootModel

from labthings_fastapi.schemas.arrays import ArrayType

__all__ = ["ArrayType", "DenumpifyingDict", "NDArray", "denumpify"]

_Number = TypeVar("_Number", bound=np.generic)

NDArray = Annotated[np.ndarray[Any, np.dtype[_Number]], ArrayType()]
"""An array, of any number of axes: `NDArray`, or with a dtype, as in `NDArray[np.uint16]`.

It also works in models of pydantic, as a member. In JSON it is nested lists."""


def denumpify(value: Any) -> Any:
    """Return a value in which arrays, and numbers of numpy, are lists and plain numbers.

    It looks into mappings, lists, tuples and sets, at any depth.
    """
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {denumpify(name): denumpify(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [denumpify(each) for each in value]
    return value


class DenumpifyingDict(RootModel[Annotated[Mapping[str, Any], PlainSerializer(denumpify)]]):
    """A mapping with any values, which may hold arrays; they are written as lists."""

    root: Annotated[Mapping[str, Any], PlainSerializer(denumpify)]
