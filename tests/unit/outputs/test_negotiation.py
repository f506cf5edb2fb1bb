"""Which media type a client prefers."""

from __future__ import annotations

import pytest

from labthings_fastapi.outputs.negotiation import acceptable, preferred

JSON, NPY, NPZ = "application/json", "application/x-npy", "application/x-npz"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (NPY, NPY),
        (NPY.upper(), NPY),
        (f"{NPY}, {JSON}", JSON),
        (f"{NPY}, {JSON};q=0.5", NPY),
        (f"{NPY};q=0.4, {JSON};q=0.5", JSON),
        (f"{NPY};q=0.4, {NPZ};q=0.6, */*;q=0.1", NPZ),
        (f"{NPY};q=0", JSON),
        (f"{NPY};q=much", NPY),
        ("text/html", JSON),
    ],
)
def test_arrays_are_sent_as_files_only_if_they_are_named(accept: str | None, wanted: str) -> None:
    assert preferred(accept, (NPY, NPZ)) == wanted


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, JSON),
        (" ", JSON),
        ("*/*", JSON),
        ("text/*", "text/csv"),
        ("text/csv, */*;q=0.1", "text/csv"),
        (f"{JSON};q=0.2, text/csv;q=0.3", "text/csv"),
        (f"{JSON};q=0, */*", "text/csv"),
        ("image/png", None),
        ("text/csv;q=0", None),
    ],
)
def test_what_is_not_accepted_is_not_sent(accept: str | None, wanted: str | None) -> None:
    assert acceptable(accept, (JSON, "text/csv")) == wanted
