"""Frames out of the bytes of a stream."""

from __future__ import annotations

import pytest

from labthings_fastapi.client import live_frames
from labthings_fastapi.client.live_frames import FrameParser
from labthings_fastapi.exceptions import ClientError


def jpeg(size: int) -> bytes:
    return b"\xff\xd8" + b"\x00" * size + b"\xff\xd9"


def part(content: bytes, media_type: str = "image/jpeg", *, length: bool = False) -> bytes:
    head = f"--frame\r\nContent-Type: {media_type}\r\n"
    if length:
        head += f"Content-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content + b"\r\n"


@pytest.mark.parametrize("length", [False, True])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_parts_are_found_however_the_bytes_come(size: int, length: bool) -> None:
    pictures = [jpeg(10), jpeg(0), jpeg(300)]
    body = b"".join(part(each, length=length) for each in pictures) + b"--frame--\r\n"
    parser, found = FrameParser(), []
    for start in range(0, len(body), size):
        found += parser.feed(body[start : start + size])
    assert found == [("image/jpeg", each) for each in pictures]


def test_a_whole_picture_is_given_before_the_next_begins() -> None:
    assert FrameParser().feed(part(jpeg(5))) == [("image/jpeg", jpeg(5))]


def test_arrays_may_hold_any_bytes() -> None:
    content = b"\x93NUMPY\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n"
    body = part(content, "application/x-npy", length=True)
    assert FrameParser().feed(body) == [("application/x-npy", content)]


def test_a_frame_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_frames, "LARGEST_FRAME", 100)
    parser = FrameParser()
    with pytest.raises(ClientError, match="more than"):
        parser.feed(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + b"\x00" * 200)
