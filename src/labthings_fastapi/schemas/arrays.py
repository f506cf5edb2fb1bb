"""numpy arrays as values: which arrays a type hint allows, in JSON and in Python.

In JSON an array is nested lists of numbers. `ArrayType` says which dtype and shape it has, writes
the schema of these lists, and makes arrays of them. numpy is imported when there is an array.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core import core_schema as core

from labthings_fastapi.outputs.npy import SENT_KINDS

from . import wire_forms

if TYPE_CHECKING:
    import numpy as np
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

    Array = np.ndarray[Any, np.dtype[Any]]

DTYPE: Final = "labthings:dtype"
"""The member of a data schema with the dtype of an array; "any" if every number is allowed."""
SHAPE: Final = "labthings:shape"
"""The member of a data schema with the lengths of the axes; null for one that may have any."""
ARRAY: Final = "labthings_array"
"""Under this name, the metadata of a core schema have the `ArrayType`."""
_ANY: Final = "any"
_FAMILIES: Final = frozenset(
    {"number", "integer", "signedinteger", "unsignedinteger"}
    | {"inexact", "floating", "complexfloating"}
)
_TEXT = re.compile(wire_forms.COMPLEX)
_BUILTIN = frozenset({bool, int, float, complex, str})
_LISTS = frozenset({list, tuple})


@dataclass(frozen=True)
class ArrayType:
    """Which arrays a value may be: an annotation of a type hint.

    ::

        Image = Annotated[np.ndarray, ArrayType("uint16", shape=(None, None), unit="counts")]

    `dtype` is anything that numpy takes for one, or an abstract class such as `np.floating`; None:
    any number. `shape` has the length of each axis, None for an axis of any length; without a
    shape, the array may have any number of axes. `unit` is that of the numbers.

    An array is accepted if numpy casts its dtype safely, as uint8 to uint16; lists are accepted if
    each number fits. An array that fits is taken as it is, and not copied.
    """

    dtype: Any = None
    shape: tuple[int | None, ...] | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        """Find a wrong dtype or shape when the hint is written.

        Raises:
            TypeError: numpy has no such dtype, or its values are no numbers.
            ValueError: the shape has a negative length.
        """
        object.__setattr__(self, "dtype", _dtype_name(self.dtype))
        if self.shape is not None:
            shape = tuple(None if each is None else int(each) for each in self.shape)
            if any(each is not None and each < 0 for each in shape):
                raise ValueError(f"shape={self.shape!r} has a negative length")
            object.__setattr__(self, "shape", shape)

    @classmethod
    def of_hint(cls, hint: Any, stated: ArrayType | None = None) -> ArrayType:
        """Return what a hint says, such as `np.ndarray[tuple[int, int], np.dtype[np.uint16]]`.

        What `stated` says goes before it.
        """
        stated = stated or cls()
        shape, dtype = (*get_args(hint), Any, Any)[:2]
        found = next(iter(get_args(dtype)), None)
        return cls(
            stated.dtype or (found if isinstance(found, type) and found is not Any else None),
            stated.shape if stated.shape is not None else _shape_of(shape),
            stated.unit,
        )

    @classmethod
    def of_schema(cls, schema: Mapping[str, Any]) -> ArrayType:
        """Return what a data schema says."""
        dtype, shape = schema[DTYPE], schema.get(SHAPE)
        return cls(None if dtype == _ANY else dtype, None if shape is None else tuple(shape))

    # --- in schemas ------------------------------------------------------------------------

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the nested lists."""
        number = self._number()
        if self.unit is not None:
            number["unit"] = self.unit
        marks = {DTYPE: self.dtype or _ANY}
        if self.shape is None:
            branches = [{"type": "array", **marks}, *number.pop("anyOf", [number])]
            unit = {"unit": self.unit} if self.unit is not None else {}
            return {"anyOf": branches, **unit}
        found = number
        for length in reversed(self.shape):
            found = {"type": "array", "items": found}
            if length is not None:
                found |= {"minItems": length, "maxItems": length}
        return {**found, **marks, SHAPE: list(self.shape)}

    def _number(self) -> dict[str, Any]:
        """Return the schema of one number."""
        texts = {"type": "string", "enum": list(wire_forms.NOT_FINITE)}
        numbers: list[dict[str, Any]] = [{"type": "number"}, texts]
        complex_text = {"type": "string", "pattern": wire_forms.COMPLEX_OR_NOT_FINITE}
        if self.dtype is None:
            return {"anyOf": [{"type": "number"}, {"type": "boolean"}, complex_text]}
        if self.dtype in ("number", "inexact", "complexfloating"):
            return {"anyOf": [{"type": "number"}, complex_text]}
        if self.dtype in _FAMILIES:
            return {"anyOf": numbers} if self.dtype == "floating" else {"type": "integer"}
        import numpy as np

        dtype = np.dtype(self.dtype)
        if dtype.kind == "b":
            return {"type": "boolean"}
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            return {"type": "integer", "minimum": int(limits.min), "maximum": int(limits.max)}
        return {"anyOf": [{"type": "number"}, complex_text] if dtype.kind == "c" else numbers}

    def __get_pydantic_core_schema__(
        self, source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate arrays and nested lists; arrays are written as lists in JSON."""
        return ArrayType.of_hint(source, self).core_schema()

    def core_schema(self) -> CoreSchema:
        """Return the core schema of pydantic."""
        return core.no_info_plain_validator_function(
            self.checked,
            serialization=core.plain_serializer_function_ser_schema(
                lambda value: getattr(value, "tolist", lambda: value)(), when_used="json"
            ),
            metadata={ARRAY: self},
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON Schema of the nested lists."""
        kind: ArrayType = (schema.get("metadata") or {}).get(ARRAY, self)
        return kind.schema()

    # --- values ----------------------------------------------------------------------------

    def checked(self, value: Any) -> Array:
        """Return a value as an array of this type; an array that fits is returned as it is.

        Raises:
            PydanticCustomError: it does not fit; the text says what it should be, and is.
        """
        import numpy as np

        if not isinstance(value, np.ndarray):
            if type(value) in _BUILTIN or type(value) in _LISTS:
                return self._of_lists(value)
            if not (isinstance(value, np.generic) or hasattr(value, "__array__")):
                raise _no_array(value)
            value = np.asarray(value)
        return self._fitting(value)

    def _fitting(self, array: Array) -> Array:
        import numpy as np

        dtype = array.dtype
        if dtype.kind not in SENT_KINDS:
            raise PydanticCustomError(
                "array_dtype",
                "Input should be an array of numbers or booleans, and its dtype is {found}",
                {"found": str(dtype)},
            )
        if not self._takes(dtype):
            raise PydanticCustomError(
                "array_dtype",
                "Input should be an array of dtype {wanted}, and its dtype is {found}. Convert it "
                "first, for example with `array.astype({example})`",
                {
                    "wanted": self.dtype,
                    "found": dtype.name,
                    "example": f"np.{self.dtype}" if self.dtype in _FAMILIES else repr(self.dtype),
                },
            )
        self._check_shape(array.shape)
        if dtype.char in "gG":  # their form depends on the machine
            return array.astype(np.complex128 if dtype.kind == "c" else np.float64)
        if self.dtype is None or self.dtype in _FAMILIES or dtype.name == self.dtype:
            return array
        return array.astype(self.dtype)

    def _takes(self, dtype: np.dtype[Any]) -> bool:
        import numpy as np

        if self.dtype is None:
            return True
        if self.dtype in _FAMILIES:
            return bool(np.issubdtype(dtype, getattr(np, self.dtype)))
        return np.can_cast(dtype, np.dtype(self.dtype), "safe")

    def _check_shape(self, found: tuple[int, ...]) -> None:
        wanted = self.shape
        if wanted is None:
            return
        if len(found) == len(wanted) and all(
            length in (None, each) for length, each in zip(wanted, found, strict=True)
        ):
            return
        raise PydanticCustomError(
            "array_shape",
            "Input should be an array of shape {wanted}, and its shape is {found}",
            {"wanted": shape_text(wanted), "found": shape_text(found)},
        )

    def _of_lists(self, value: Any) -> Array:
        import numpy as np

        leaves, shape = _flat(value)
        kinds = set(map(type, leaves))
        if not kinds <= _BUILTIN:
            if not any(isinstance(each, np.ndarray | np.generic) for each in leaves):
                raise _no_array(next(each for each in leaves if type(each) not in _BUILTIN))
            try:
                return self._fitting(np.asarray(value))
            except ValueError:
                raise _ragged() from None
        if not leaves and self.shape is not None:
            shape += [each or 0 for each in self.shape[len(shape) :]]
        self._check_shape(tuple(shape))
        if str in kinds:
            leaves = [_number_of(each) if isinstance(each, str) else each for each in leaves]
            kinds = set(map(type, leaves))
        if bool in kinds and len(kinds) > 1:
            raise _wrong_number(next(each for each in leaves if isinstance(each, bool)), "a number")
        try:
            return self._array(leaves, kinds).reshape(shape)
        except PydanticCustomError:
            raise
        except (OverflowError, ValueError) as error:
            raise PydanticCustomError(
                "array_value", "Input should be an array: {error}", {"error": str(error)}
            ) from None

    def _array(self, leaves: list[Any], kinds: set[type]) -> Array:
        """Return a flat array of these numbers, each of which must fit."""
        import numpy as np

        dtype = self._dtype_for(kinds)
        if dtype.kind == "b" and kinds - {bool}:
            raise _wrong_number(next(x for x in leaves if not isinstance(x, bool)), "a boolean")
        if dtype.kind != "b" and bool in kinds:
            raise _wrong_number(leaves[0], "a number")
        if dtype.kind != "c" and complex in kinds:
            raise _wrong_number(next(x for x in leaves if isinstance(x, complex)), "a real number")
        if dtype.kind in "iu" and float in kinds:
            leaves = [_whole(each) for each in leaves]
        if dtype.kind in "iu" and leaves:
            limits = np.iinfo(dtype)
            for each in (min(leaves), max(leaves)):
                if not limits.min <= each <= limits.max:
                    raise _wrong_number(each, f"an integer from {limits.min} to {limits.max}")
        with np.errstate(over="ignore"):
            array = np.array(leaves, dtype)
        if dtype.itemsize < np.dtype(complex if dtype.kind == "c" else float).itemsize and (
            dtype.kind in "fc"
        ):
            unlike = np.isinf(array) & ~np.isinf(np.array(leaves, complex))
            if unlike.any():
                raise _wrong_number(leaves[int(unlike.argmax())], f"a number that {dtype} can hold")
        return array

    def _dtype_for(self, kinds: set[type]) -> np.dtype[Any]:
        import numpy as np

        if self.dtype is not None and self.dtype not in _FAMILIES:
            named: np.dtype[Any] = np.dtype(self.dtype)
            return named
        if self.dtype in ("integer", "signedinteger"):
            return np.dtype(np.int64)
        if self.dtype == "unsignedinteger":
            return np.dtype(np.uint64)
        if complex in kinds or self.dtype == "complexfloating":
            return np.dtype(np.complex128)
        if bool in kinds and self.dtype is None:
            return np.dtype(np.bool_)
        if kinds == {int} and self.dtype in (None, "number"):
            return np.dtype(np.int64)
        return np.dtype(np.float64)


def shape_text(shape: tuple[int | None, ...]) -> str:
    """Return a shape for people, with a * for an axis of any length."""
    text = ", ".join("*" if length is None else str(length) for length in shape)
    return f"({text},)" if len(shape) == 1 else f"({text})"


def _dtype_name(dtype: Any) -> str | None:
    if dtype is None:
        return None
    if isinstance(dtype, str) and dtype in _FAMILIES:
        return dtype
    import numpy as np

    if isinstance(dtype, type) and issubclass(dtype, np.generic):
        if dtype in (np.generic, np.number):
            return "number" if dtype is np.number else None
        if dtype.__name__ in _FAMILIES:
            return str(dtype.__name__)
    found = np.dtype(dtype)
    if found.kind not in SENT_KINDS:
        raise TypeError(
            f"dtype {found} cannot be sent: use booleans, integers, floats or complex numbers"
        )
    return "complex128" if found.char == "G" else "float64" if found.char == "g" else found.name


def _shape_of(hint: Any) -> tuple[int | None, ...] | None:
    """Return the shape that a hint such as `tuple[int, Literal[3]]` says."""
    if get_origin(hint) is not tuple:
        return () if hint == tuple[()] else None
    axes = get_args(hint)
    return None if Ellipsis in axes else tuple(map(_length_of, axes))


def _length_of(axis: Any) -> int | None:
    if get_origin(axis) is Literal:
        length = get_args(axis)[0]
        return length if type(length) is int else None
    return None


def _flat(value: Any) -> tuple[list[Any], list[int]]:
    """Return the numbers in nested lists, and the lengths of the lists."""
    level, shape = [value], list[int]()
    while level and any(type(each) in _LISTS for each in level):
        if not all(type(each) in _LISTS for each in level):
            raise _ragged()
        lengths = set(map(len, level))
        if len(lengths) > 1:
            raise _ragged()
        shape += lengths
        level = list(chain.from_iterable(level))
    return level, shape


def _number_of(text: str) -> float | complex:
    if text in wire_forms.NOT_FINITE:
        return wire_forms.NOT_FINITE[text]
    if _TEXT.search(text) is None:
        raise _wrong_number(text, "a number")
    return complex(text)


def _whole(value: Any) -> int:
    if isinstance(value, float):
        if not value.is_integer():
            raise _wrong_number(value, "an integer")
        return int(value)
    found: int = value
    return found


def _no_array(value: Any) -> PydanticCustomError:
    return PydanticCustomError(
        "array_type",
        "Input should be an array of numbers, and it has a value of type {found}",
        {"found": type(value).__name__},
    )


def _ragged() -> PydanticCustomError:
    return PydanticCustomError(
        "array_shape", "Input should be an array, whose rows all have the same length"
    )


def _wrong_number(value: Any, wanted: str) -> PydanticCustomError:
    return PydanticCustomError(
        "array_value",
        "Each item of the array should be {wanted}, and one is {found}",
        {"wanted": wanted, "found": f"{value!r:.60}"},
    )


def is_array_hint(hint: Any) -> bool:
    """Whether a hint is numpy's class of arrays; does not import numpy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and numpy.ndarray in (hint, get_origin(hint))


def array_type_of(part: Mapping[str, Any]) -> ArrayType | None:
    """Return the array type of a core schema, if it is one of an array."""
    found: ArrayType | None = (part.get("metadata") or {}).get(ARRAY)
    return found
