"""Values with arrays as files of numpy."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from labthings_fastapi.exceptions import (
    BodyTooLargeError,
    MalformedBodyError,
    UnsupportedMediaTypeError,
)
from labthings_fastapi.outputs.npy import NPY, NPZ, npy_bytes
from labthings_fastapi.schemas import array_files
from labthings_fastapi.schemas.array_files import ArrayFile, replaced_arrays
from labthings_fastapi.schemas.values import ValueSchema


@dataclasses.dataclass
class Frame:
    pixels: npt.NDArray[np.uint16]
    dark: np.ndarray | None = None
    raw: bytes = b""
    gain: float = 1.0


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)
    counts: np.ndarray
    gain: float = 1.0


def schema(hint: Any) -> ValueSchema[Any]:
    return ValueSchema(hint, where="Camera.frame")


def file_of(hint: Any, value: Any, media_type: str = NPZ) -> bytearray:
    parts = schema(hint).as_file(value, media_type)
    assert parts is not None
    return bytearray(b"".join(parts))


def npz(**members: Any) -> bytearray:
    file = io.BytesIO()
    np.savez(file, **members)
    return bytearray(file.getvalue())


def zipped(**members: bytes) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return bytearray(file.getvalue())


def read(hint: Any, data: bytearray, media_type: str = NPZ) -> Any:
    return schema(hint).validate_wire(ArrayFile(media_type, data))


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (list[np.ndarray], [np.zeros(2), np.ones((2, 2))]),
        (dict[str, npt.NDArray[np.uint8]], {"a/b": np.zeros(2, np.uint8), "a_b": np.ones(1, "u1")}),
        (dict[str, np.ndarray], {"": np.zeros(1), "..": np.ones(2), "value": np.zeros(0)}),
        (tuple[np.ndarray, int], (np.array(3.0), 4)),
        (list[list[np.ndarray]], [[np.zeros(1)], []]),
    ],
)
def test_a_value_comes_back_from_its_file(hint: Any, value: Any) -> None:
    found = read(hint, file_of(hint, value))
    assert type(found) is type(value)
    assert str(found) == str(value)


def test_members_that_are_no_arrays_travel_beside_them() -> None:
    frame = Frame(np.zeros(3, np.uint16), None, b"\xff", float("nan"))
    data = file_of(Frame, frame)
    with np.load(io.BytesIO(data)) as loaded:
        assert loaded["pixels"].dtype == np.uint16
        assert json.loads(loaded["value.json"])["gain"] == "NaN"
    found = read(Frame, data)
    assert (found.raw, found.dark) == (b"\xff", None)
    assert np.isnan(found.gain)


def test_the_data_of_an_array_are_not_copied() -> None:
    array = np.zeros(3, np.uint8)
    parts = schema(list[np.ndarray]).as_file([array], NPZ) or []
    array[:] = 7
    assert any(bytes(part) == b"\x07\x07\x07" for part in parts)


def test_a_value_that_is_no_single_array_has_no_npy() -> None:
    assert schema(np.ndarray | None).as_file(None, NPY) is None
    assert schema(list[np.ndarray]).as_file([np.zeros(1)], NPY) is None


def test_arrays_arrive_in_the_byte_order_of_this_machine_and_may_be_changed() -> None:
    for data, kind in (
        (bytearray(npy_bytes(np.arange(3, dtype=">u2"))), NPY),
        (npz(x=np.arange(3, dtype=">u2")), NPZ),
    ):
        found = read(np.ndarray, data, kind)
        assert found.dtype.isnative
        found += 1
        assert found.tolist() == [1, 2, 3]


def test_numbers_beside_arrays_are_taken_as_numpy_saves_them() -> None:
    found = read(Frame, npz(pixels=np.zeros(2, np.uint8), gain=2.5))
    assert found.gain == 2.5


def test_a_strict_model_reads_arrays_as_lists() -> None:
    data = zipped(**{"value.json": b'{"counts": {"labthings:member": "counts"}, "gain": 2.0}'})
    with pytest.raises(MalformedBodyError, match="no array 'counts'"):
        read(Strict, data)
    with pytest.raises(ValidationError, match="gain"):
        read(Strict, npz(counts=np.zeros(2), gain=True))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (zipped(**{"other.txt": b"x"}), "other.txt"),
        (zipped(**{"value.json": b"[NaN]"}), "no JSON"),
        (zipped(**{"value.json": b"{"}), "frame"),
        (zipped(**{"value.json": b"{}", "a.npy": npy_bytes(np.zeros(1))}), "where 'a' belongs"),
        (zipped(**{"a.npy": b"nothing"}), r"\.npy"),
        (bytearray(b"PK nothing"), r"\.npz"),
        (bytearray(), r"\.npz"),
    ],
)
def test_a_damaged_file_is_malformed(data: bytearray, why: str) -> None:
    with pytest.raises(MalformedBodyError, match=why):
        read(list[np.ndarray], data)


def test_a_file_that_grows_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "LARGEST", 1000)
    file = io.BytesIO()
    np.savez_compressed(file, a=np.zeros(10_000))
    with pytest.raises(MalformedBodyError, match="more than 1000 bytes"):
        read(np.ndarray, bytearray(file.getvalue()))


def test_json_beside_arrays_has_the_budget_of_all_json() -> None:
    text = b"[" + b",".join([b"1"] * 300_000) + b"]"
    with pytest.raises(BodyTooLargeError):
        read(list[np.ndarray], zipped(**{"value.json": text}))


def test_an_array_for_a_value_without_arrays_is_refused() -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="send JSON"):
        read(list[float], bytearray(npy_bytes(np.zeros(2))), NPY)


def test_two_files_have_two_fingerprints() -> None:
    one, two = (ArrayFile(NPY, bytearray(npy_bytes(np.full(9, x)))) for x in (1, 2))
    assert one.fingerprint() == ArrayFile(NPY, bytearray(one.data)).fingerprint()
    assert len({one.fingerprint(), two.fingerprint(), ArrayFile(NPZ, one.data).fingerprint()}) == 3
    assert len(one.fingerprint()) < 100


def test_lists_of_plain_values_are_not_copied() -> None:
    rows = [[1, 2], [3]]
    assert replaced_arrays({"a": rows}, lambda array, path: path)["a"][0] is rows[0]
    found = replaced_arrays({"a": [np.zeros(1), 2]}, lambda array, path: path)
    assert found == {"a": ["a.0", 2]}
