"""Arrays as `.npy` and `.npz` files."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from labthings_fastapi.outputs.npy import npy_bytes, npy_parts, npz_parts, read_npy, read_npz

LIMIT = 1024 * 1024
KINDS = ["?", "i1", "u1", "<i2", ">u2", "<u4", ">i8", "<u8", "<f2", ">f4", "<f8", "<c8", ">c16"]


def same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    )


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4), (2, 3, 4)])
def test_any_number_in_any_shape_comes_back(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    assert same(read_npy(npy_bytes(array)), array)


@pytest.mark.parametrize("dtype", KINDS)
def test_numpy_itself_reads_what_is_written(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    assert same(np.load(io.BytesIO(npy_bytes(array)), allow_pickle=False), array)


def test_what_numpy_writes_is_read() -> None:
    file = io.BytesIO()
    array = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    np.save(file, array, allow_pickle=False)
    assert same(read_npy(file.getvalue()), array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24).reshape(4, 6)[::2, ::-1],
        np.asfortranarray(np.arange(24).reshape(4, 6)),
        np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        np.broadcast_to(np.arange(3), (4, 3)),
    ],
    ids=["strided", "fortran", "transposed", "broadcast"],
)
def test_the_layout_in_memory_does_not_matter(array: np.ndarray[Any, Any]) -> None:
    assert same(read_npy(npy_bytes(array)), array)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_data_of_a_contiguous_array_are_not_copied(order: Any) -> None:
    array = np.zeros((4, 5), dtype=">u2", order=order)
    _, data = npy_parts(array)
    array[1, 2] = 7
    assert read_npy(npy_bytes(array)[: -len(data)] + bytes(data))[1, 2] == 7


def test_an_array_that_is_read_only_is_sent() -> None:
    array = np.arange(5)
    array.flags.writeable = False
    assert same(read_npy(npy_bytes(array)), array)


def test_an_array_that_is_read_shares_the_memory_of_a_bytearray() -> None:
    data = bytearray(npy_bytes(np.zeros(3, "u1")))
    read_npy(data)[0] = 9
    assert data[-3] == 9


def test_a_long_double_is_sent_as_every_machine_knows_it() -> None:
    assert read_npy(npy_bytes(np.ones(2, np.longdouble))).dtype == np.float64
    assert read_npy(npy_bytes(np.ones(2, np.clongdouble))).dtype == np.complex128


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}], dtype=object),
        np.array(["a"]),
        np.zeros(2, dtype=[("x", "f4")]),
        np.array(["2026-01-01"], dtype="M8[D]"),
    ],
    ids=["objects", "texts", "records", "times"],
)
def test_what_is_no_number_is_not_sent(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        npy_parts(array)


def test_a_pickle_is_never_read() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be sent"):
        read_npy(file.getvalue())


def header(text: str, data: bytes = b"") -> bytes:
    raw = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[1, 2]",
        b"\x93NUMPY",
        b"\x93NUMPY\x03\x00",
        npy_bytes(np.arange(5))[:-1],
        npy_bytes(np.arange(5)) + b"0",
        header("{'descr': '<u2', 'fortran_order': False, 'shape': (-2, -3), }", b"0" * 12),
        header("{'descr': '<u2', 'fortran_order': False, 'shape': (1000000000000000000,), }"),
        header("{'descr': 'V0', 'fortran_order': False, 'shape': (1000000000000000000,), }"),
        header("{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000000,), }"),
        header("{'descr': __import__('os'), 'fortran_order': False, 'shape': (), }"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n"),
        header("(" * 5000),
        header("1" * 60000),
    ],
)
def test_a_damaged_or_hostile_file_is_an_error_and_no_array(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"npy|dtype"):
        read_npy(data)


def test_several_arrays_and_a_file_come_back() -> None:
    arrays = {"image": np.ones((2, 3), ">u2"), "at.x": np.array(0.5)}
    data = b"".join(npz_parts(arrays, {"value.json": b"{}"}))
    found, files = read_npz(data, LIMIT)
    assert found.keys() == arrays.keys()
    assert all(same(found[name], arrays[name]) for name in arrays)
    assert files == {"value.json": b"{}"}


def test_numpy_itself_reads_several_arrays() -> None:
    data = b"".join(npz_parts({"image": np.arange(6).reshape(2, 3)}, {"value.json": b"{}"}))
    with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
        assert loaded["image"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_saves_as_several_arrays_is_read(save: Any) -> None:
    file = io.BytesIO()
    save(file, image=np.arange(6), gain=2.5)
    found, files = read_npz(file.getvalue(), LIMIT)
    assert found["image"].tolist() == [0, 1, 2, 3, 4, 5]
    assert found["gain"].shape == ()
    assert files == {}


def test_a_zip_that_grows_without_bounds_is_refused_before_it_has_grown() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(50 * 1024 * 1024))
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        read_npz(file.getvalue(), LIMIT)


@pytest.mark.parametrize("cut", [0, 10, 60, -1])
def test_a_damaged_zip_is_an_error(cut: int) -> None:
    data = b"".join(npz_parts({"image": np.arange(6)}))
    with pytest.raises(ValueError, match=r"npz|npy"):
        read_npz(data[:cut], LIMIT)


def test_two_members_of_one_name_are_an_error() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", npy_bytes(np.zeros(1)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", npy_bytes(np.ones(1)))
    with pytest.raises(ValueError, match="two members"):
        read_npz(file.getvalue(), LIMIT)
