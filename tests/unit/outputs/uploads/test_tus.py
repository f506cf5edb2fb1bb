"""The headers of resumable uploads are read, or refused with the reason."""

from __future__ import annotations

import pytest

from labthings_fastapi.outputs.uploads.tus import read_metadata, read_number


def test_a_number_of_bytes_is_read() -> None:
    assert read_number("Upload-Offset", "0") == 0
    assert read_number("Upload-Length", str(2**40)) == 2**40


@pytest.mark.parametrize("text", [None, "", "-1", "1.5", "٣", "1e3", "9" * 30])
def test_what_is_no_number_of_bytes_is_refused(text: str | None) -> None:
    with pytest.raises(ValueError, match="Upload-Length"):
        read_number("Upload-Length", text)


def test_metadata_are_pairs_and_a_value_may_be_missing() -> None:
    header = "filename d29ybGQ=,filetype dGV4dC9wbGFpbg==, is_confidential"
    expected = {"filename": "world", "filetype": "text/plain", "is_confidential": ""}
    assert read_metadata(header) == expected
    assert read_metadata("") == {}


@pytest.mark.parametrize("header", ["filename %%%", "filename d29ybGQ", "filename /w=="])
def test_metadata_that_are_no_text_are_refused(header: str) -> None:
    with pytest.raises(ValueError, match="'filename'"):
        read_metadata(header)
