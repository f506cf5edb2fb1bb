"""The documented names for arrays in hints."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from labthings_fastapi.schemas.values import ValueSchema
from labthings_fastapi.types.numpy import DenumpifyingDict, NDArray, denumpify


class Spectrum(BaseModel):
    counts: NDArray
    weights: NDArray[np.uint16]


def test_a_model_takes_lists_numbers_and_arrays_and_holds_arrays() -> None:
    made = Spectrum(counts=[[1, 2]], weights=np.zeros(2, np.uint16))  # type: ignore[arg-type]
    assert made.counts.shape == (1, 2)
    assert made.model_dump()["counts"] is made.counts
    assert json.loads(made.model_dump_json()) == {"counts": [[1, 2]], "weights": [0, 0]}
    assert Spectrum(counts=3, weights=1).counts.shape == ()  # type: ignore[arg-type]
    assert Spectrum.model_validate_json('{"counts":[1],"weights":[2]}').weights.dtype == np.uint16


def test_a_model_refuses_another_dtype() -> None:
    with pytest.raises(ValidationError, match="dtype uint16"):
        Spectrum(counts=[1], weights=np.zeros(2))  # type: ignore[arg-type]


def test_a_model_describes_its_arrays() -> None:
    described = Spectrum.model_json_schema()["properties"]["weights"]
    assert {"type": "array", "labthings:dtype": "uint16"} in described["anyOf"]


def test_arrays_at_any_depth_become_lists() -> None:
    value = {"a": np.zeros(2), 1: [{"b": (np.float32(0.5), np.array(3))}], "c": "text"}
    lists = {"a": [0.0, 0.0], 1: [{"b": [0.5, 3]}], "c": "text"}
    assert denumpify(value) == lists


def test_a_mapping_with_arrays_is_dumped_as_lists() -> None:
    made = DenumpifyingDict(root={"a": np.zeros(2), "b": [{"c": np.ones(1)}]})
    lists = {"a": [0.0, 0.0], "b": [{"c": [1.0]}]}
    assert made.model_dump() == lists
    assert json.loads(made.model_dump_json()) == lists
    assert json.loads(ValueSchema(DenumpifyingDict, where="A.x").serve(made)) == lists
