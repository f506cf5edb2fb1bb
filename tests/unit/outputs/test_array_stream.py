"""Streams of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import labthings_fastapi as lt
from labthings_fastapi.outputs.npy import read_npy


class Camera(lt.Thing):
    raw = lt.outputs.ArrayStreamDescriptor()


def test_an_array_is_kept_as_it_is_and_sent_as_numpy_reads_it() -> None:
    stream = Camera().raw
    array = np.arange(6, dtype=np.uint16).reshape(2, 3)
    stream.add_frame(array)
    newest = stream.newest()
    assert newest is not None
    assert newest.frame is array
    np.testing.assert_array_equal(read_npy(stream.encode(array)), array)


@pytest.mark.parametrize(
    ("frame", "error"),
    [([1, 2], TypeError), (b"bytes", TypeError), (np.array(["text"]), ValueError)],
)
def test_what_cannot_be_sent_is_refused(frame: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="A frame of an array stream"):
        Camera().raw.add_frame(frame)
