"""A zip is made while it is sent, of files that may grow or go meanwhile."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from labthings_fastapi.outputs.zip_stream import PIECE, zip_pieces


def test_it_has_all_bytes_and_comes_in_small_pieces(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "large").write_bytes(content)
    (tmp_path / "empty").write_bytes(b"")
    names = ("large", "empty")
    pieces = list(zip_pieces([(f"a/{name}", tmp_path / name) for name in names]))
    assert max(map(len, pieces)) < 2 * PIECE
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert archive.read("a/large") == content
        assert archive.read("a/empty") == b""


def test_what_is_written_after_its_turn_began_is_not_in_it(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"x" * (PIECE + 10))
    pieces = zip_pieces([("growing", path)])
    found = [next(pieces)]
    with path.open("ab") as file:
        file.write(b"y" * PIECE)
    found += pieces
    with zipfile.ZipFile(io.BytesIO(b"".join(found))) as archive:
        assert archive.read("growing") == b"x" * (PIECE + 10)


def test_one_that_got_shorter_or_went_does_not_spoil_the_rest(tmp_path: Path) -> None:
    for name in ("gone", "shorter", "last"):
        (tmp_path / name).write_bytes(b"x" * (2 * PIECE))
    pieces = zip_pieces([(name, tmp_path / name) for name in ("shorter", "gone", "last")])
    found = [next(pieces)]
    (tmp_path / "gone").unlink()
    (tmp_path / "shorter").write_bytes(b"x" * PIECE)
    found += pieces
    with zipfile.ZipFile(io.BytesIO(b"".join(found))) as archive:
        assert archive.testzip() is None
        sizes = {each.filename: each.file_size for each in archive.infolist()}
    assert sizes == {"shorter": PIECE, "last": 2 * PIECE}
