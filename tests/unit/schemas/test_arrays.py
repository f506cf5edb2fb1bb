"""What an array type accepts, describes and makes of lists."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from jsonschema import Draft7Validator
from pydantic import ValidationError

from labthings_fastapi.schemas.arrays import ArrayType
from labthings_fastapi.schemas.values import ValueSchema

DTYPES = ["bool", "int8", "uint16", "int64", "uint64", "float16", "float32", "float64"]
DTYPES += ["complex64", "complex128"]


def schema(hint: Any) -> ValueSchema[Any]:
    return ValueSchema(hint, where="Camera.frame")


def refusal(hint: Any, value: Any) -> str:
    found = schema(hint)
    validate: Any = found.validate_wire if isinstance(value, bytes) else found.validate
    with pytest.raises(ValidationError) as caught:
        validate(value)
    return str(caught.value.errors(include_url=False)[0]["msg"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2)])
def test_what_is_served_is_described_and_comes_back(dtype: str, shape: tuple[int, ...]) -> None:
    hint = Annotated[np.ndarray, ArrayType(dtype, shape=shape)]
    array = (np.arange(math.prod(shape)).reshape(shape) % 2).astype(dtype)
    text = schema(hint).serve(array)
    read = schema(hint).validate_wire(text)
    assert read.dtype == array.dtype
    assert read.shape == shape
    assert np.array_equal(read, array)
    Draft7Validator(schema(hint).data_schema()).validate(json.loads(text))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">u2").reshape(2, 3),
        np.arange(12, dtype="u2").reshape(4, 3)[::2],
        np.asfortranarray(np.arange(6, dtype="u2").reshape(2, 3)),
    ],
    ids=["big-endian", "strided", "fortran"],
)
def test_an_array_that_fits_is_taken_as_it_is(array: Any) -> None:
    array.flags.writeable = False
    assert schema(npt.NDArray[np.uint16]).validate(array) is array


def test_numbers_that_json_does_not_have_are_texts() -> None:
    array = np.array([math.nan, math.inf, -math.inf, 0.5])
    text = schema(np.ndarray).serve(array)
    assert text == b'["NaN","Infinity","-Infinity",0.5]'
    assert np.array_equal(schema(np.ndarray).validate_wire(text), array, equal_nan=True)
    values = np.array([1 + 2j, complex(math.nan, 1), complex(0, -math.inf)])
    read = schema(npt.NDArray[np.complex128]).validate_wire(schema(np.ndarray).serve(values))
    assert np.array_equal(read, values, equal_nan=True)


def test_a_dtype_is_cast_if_nothing_can_be_lost() -> None:
    found = schema(npt.NDArray[np.uint16]).validate(np.array([1, 2], np.uint8))
    assert found.dtype == np.uint16
    assert schema(npt.NDArray[np.float64]).validate(np.arange(3)).dtype == np.float64


@pytest.mark.parametrize("dtype", ["float64", "int16", "int64", "complex64"])
def test_another_dtype_is_refused_and_named(dtype: str) -> None:
    text = refusal(npt.NDArray[np.uint16], np.zeros(3, dtype))
    assert "dtype uint16" in text
    assert f"dtype is {dtype}" in text
    assert "astype('uint16')" in text


@pytest.mark.parametrize(
    ("hint", "shape"),
    [
        (np.ndarray[tuple[int, int], np.dtype[np.float64]], (3,)),
        (np.ndarray[tuple[int, Literal[3]], np.dtype[np.float64]], (3, 2)),
        (Annotated[np.ndarray, ArrayType(shape=(2, None))], (3, 2)),
        (Annotated[np.ndarray, ArrayType(shape=())], (1,)),
    ],
)
def test_another_shape_is_refused_and_named(hint: Any, shape: tuple[int, ...]) -> None:
    text = refusal(hint, np.zeros(shape))
    assert f"its shape is {shape}" in text
    assert text == refusal(hint, schema(np.ndarray).serve(np.zeros(shape)))


@pytest.mark.parametrize(
    ("dtype", "text", "why"),
    [
        ("float64", b'["1.5"]', None),
        ("float64", b'["x"]', "'x'"),
        ("float64", b"[true]", "True"),
        ("float64", b"[1, true]", "True"),
        ("float64", b"[[1], 2]", "same length"),
        ("float64", b"[[1], [2, 3]]", "same length"),
        ("float64", b"[null]", "NoneType"),
        ("float64", b'[{"a": 1}]', "dict"),
        ("float64", b"null", None),
        ("float64", b"{}", None),
        ("float64", b'["1+2j"]', "a real number"),
        ("float32", b"[1e300]", "float32 can hold"),
        ("uint8", b"[256]", "from 0 to 255"),
        ("uint8", b"[-1]", "from 0 to 255"),
        ("uint8", b"[1.5]", "an integer"),
        ("bool", b"[1]", "a boolean"),
        (None, b"[99999999999999999999]", "from -9223372036854775808"),
    ],
)
def test_lists_are_refused_by_their_items(dtype: str | None, text: bytes, why: str | None) -> None:
    found = refusal(Annotated[np.ndarray, ArrayType(dtype)], text)
    assert why is None or why in found


def test_a_text_is_no_number_also_where_complex_numbers_are_allowed() -> None:
    assert "'1 + 2j'" in refusal(np.ndarray, b'["1 + 2j"]')


@pytest.mark.parametrize(
    ("text", "dtype"),
    [(b"[1]", "int64"), (b"[1, 2.5]", "float64"), (b"[true]", "bool"), (b'["1j"]', "complex128")],
)
def test_lists_for_any_dtype_become_what_their_items_are(text: bytes, dtype: str) -> None:
    assert schema(np.ndarray).validate_wire(text).dtype == dtype


def test_whole_floats_are_integers() -> None:
    assert schema(npt.NDArray[np.uint8]).validate_wire(b"[1.0, 2]").tolist() == [1, 2]


def test_an_empty_list_has_the_axes_that_are_described() -> None:
    hint = np.ndarray[tuple[int, Literal[3]], np.dtype[np.float64]]
    assert schema(hint).validate_wire(b"[]").shape == (0, 3)
    assert schema(np.ndarray).validate_wire(b"[[], []]").shape == (2, 0)


@pytest.mark.parametrize(
    "value", [["a"], np.array(["a"]), np.array([{}], object), {"a": 1}, None, object()]
)
def test_what_is_no_array_is_refused_in_python_too(value: Any) -> None:
    assert refusal(np.ndarray, value)


def test_python_code_may_give_lists_numbers_and_what_numpy_understands() -> None:
    class Frame:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.ones(2)

    values = [[1, 2], (1, 2), 3, np.float32(3), [np.float64(1), np.float64(2)], Frame()]
    values += [[np.zeros(2), np.ones(2)]]
    for value in values:
        assert np.array_equal(schema(np.ndarray).validate(value), np.asarray(value))


def test_a_long_double_becomes_what_every_machine_knows() -> None:
    assert schema(np.ndarray).validate(np.ones(2, np.longdouble)).dtype == np.float64


def test_a_family_of_dtypes_is_one() -> None:
    hint = npt.NDArray[np.floating]
    array = np.zeros(2, np.float32)
    assert schema(hint).validate(array) is array
    assert "floating" in refusal(hint, np.zeros(2, np.int64))
    assert schema(hint).validate_wire(b"[1]").dtype == np.float64
    assert schema(npt.NDArray[np.unsignedinteger]).validate_wire(b"[1]").dtype == np.uint64
    assert schema(npt.NDArray[np.number]).validate_wire(b"[1]").dtype == np.int64
    assert schema(npt.NDArray[np.complexfloating]).validate_wire(b"[1]").dtype == np.complex128
    assert schema(npt.NDArray[Any]).validate_wire(b"[1]").dtype == np.int64


def test_dtype_shape_and_unit_are_described() -> None:
    hint = Annotated[np.ndarray, ArrayType("uint16", shape=(None, 3), unit="counts")]
    number = {"type": "integer", "minimum": 0, "maximum": 65535, "unit": "counts"}
    assert schema(hint).data_schema() == {
        "type": "array",
        "items": {"type": "array", "minItems": 3, "maxItems": 3, "items": number},
        "labthings:dtype": "uint16",
        "labthings:shape": [None, 3],
    }


def test_without_a_shape_a_number_is_an_array_as_well() -> None:
    described = schema(npt.NDArray[np.uint8]).data_schema()
    assert described == {
        "oneOf": [
            {"type": "array", "labthings:dtype": "uint8"},
            {"type": "integer", "minimum": 0, "maximum": 255},
        ]
    }
    assert schema(npt.NDArray[np.uint8]).validate_wire(b"7").shape == ()


@pytest.mark.parametrize("dtype", ["text", "U3", object, "M8[s]", "f4,f4"])
def test_a_dtype_that_cannot_be_sent_is_found_when_the_hint_is_written(dtype: Any) -> None:
    with pytest.raises(TypeError):
        ArrayType(dtype)


def test_a_negative_length_is_found_when_the_hint_is_written() -> None:
    with pytest.raises(ValueError, match="negative length"):
        ArrayType(shape=(-1,))


def test_deep_lists_are_refused() -> None:
    assert refusal(np.ndarray, b"[" * 70 + b"1" + b"]" * 70)
