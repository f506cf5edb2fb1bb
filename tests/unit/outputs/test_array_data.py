"""Links to arrays in the records of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from pydantic_core import to_json

from labthings_fastapi.outputs.array_data import (
    LARGEST_LISTS,
    ArrayData,
    array_link,
    has_array_links,
    linked_array,
    with_lists,
)
from labthings_fastapi.outputs.blob_data import LocalBlobData
from labthings_fastapi.outputs.npy import read_npy


def write(array: Any) -> bytes:
    return to_json(array.tolist())


@pytest.mark.parametrize(
    "array", [np.arange(6).reshape(2, 3), np.array(3.5), np.zeros((0, 2)), np.arange(9)[::2]]
)
def test_an_array_is_saved_as_numpy_reads_it(array: Any, tmp_path: Path) -> None:
    data = ArrayData(array, uuid4())
    data.save(tmp_path / "a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)
    assert data.size == (tmp_path / "a.npy").stat().st_size == len(data.content)
    assert np.array_equal(read_npy(data.open().read()), array)


def test_data_are_found_by_their_id_as_long_as_they_are_used() -> None:
    data = ArrayData(np.zeros(2), id := uuid4())
    assert LocalBlobData.from_id(id) is data


def test_links_become_lists_again() -> None:
    one, two = np.arange(3), np.array([[True]])
    ids = uuid4(), uuid4()
    kept = [ArrayData(array, id) for array, id in zip((one, two), ids, strict=True)]
    text = to_json({"a": array_link(one, ids[0]), "b": [array_link(two, ids[1])]})
    assert has_array_links(text)
    assert json.loads(with_lists(text, write)) == {"a": [0, 1, 2], "b": [[[True]]]}
    absolute = text.replace(b'"/blob', b'"http://lab-pc:5000/x/blob')
    assert json.loads(with_lists(absolute, write)) == {"a": [0, 1, 2], "b": [[[True]]]}
    assert len(kept) == 2


def test_a_link_to_what_is_gone_stays() -> None:
    text = to_json([array_link(np.zeros(2), uuid4())])
    assert with_lists(text, write) == text


def test_arrays_that_are_too_large_for_json_stay_links() -> None:
    link = array_link(np.zeros(2), id := uuid4()) | {"size": LARGEST_LISTS + 1}
    kept = ArrayData(np.zeros(2), id)
    assert with_lists(to_json(link), write) == to_json(link)
    assert kept.size


def test_what_a_user_writes_is_no_link() -> None:
    """Text that looks like a link is escaped, and a blob of a user has no dtype."""
    blob = {"href": f"/blob/{uuid4()}", "media_type": "application/x-npy", "rel": "output"}
    text = to_json({"text": to_json(array_link(np.zeros(2), uuid4())).decode(), "blob": blob})
    assert not has_array_links(text)
    assert with_lists(text, write) == text


def test_the_only_array_of_an_output_is_known() -> None:
    link = array_link(np.zeros(2), id := uuid4())
    assert linked_array(to_json(link)) == id
    assert linked_array(to_json([link])) is None
