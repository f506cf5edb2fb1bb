"""Streams of frames: many viewers, threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

import labthings_fastapi as lt
from labthings_fastapi.outputs import MJPEGStream, MJPEGStreamDescriptor
from labthings_fastapi.outputs.frame_stream import stream_descriptors


def jpeg(number: int) -> bytes:
    return b"\xff\xd8" + str(number).encode() + b"\xff\xd9"


def number_of(frame: bytes) -> int:
    return int(frame[2:-2])


class Camera(lt.Thing):
    stream = MJPEGStreamDescriptor(ringbuffer_size=3)


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it is no event of ours
            await asyncio.sleep(0.001)


def test_each_thing_has_a_stream_and_the_class_has_the_descriptor() -> None:
    one, two = Camera(), Camera()
    assert isinstance(one.stream, MJPEGStream)
    assert one.stream is one.stream is not two.stream
    assert isinstance(Camera.stream, MJPEGStreamDescriptor)
    assert list(stream_descriptors(type("Below", (Camera,), {}))) == ["stream"]
    with pytest.raises(AttributeError, match=r"Camera\.stream is a stream"):
        one.stream = MJPEGStream()  # type: ignore[misc, assignment]


def test_a_subclass_may_take_a_stream_away() -> None:
    assert stream_descriptors(type("Below", (Camera,), {"stream": None})) == {}


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "3"])
def test_a_ring_has_a_size(size: Any) -> None:
    with pytest.raises(ValueError, match="ringbuffer_size"):
        MJPEGStreamDescriptor(size)


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8", b"GIF89a", jpeg(1) + b"more", jpeg(1)[1:]])
def test_what_is_no_whole_jpeg_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match="complete JPEG file"):
        Camera().stream.add_frame(frame)


def test_what_has_no_bytes_is_refused() -> None:
    stream: Any = Camera().stream
    with pytest.raises(TypeError, match="JPEG file as bytes, and no str"):
        stream.add_frame("picture")


def test_the_newest_frames_are_kept_and_the_others_named() -> None:
    stream = Camera().stream
    assert (stream.last_frame_i, stream.newest()) == (-1, None)
    with pytest.raises(ValueError, match="not there yet"):
        stream.ringbuffer_entry(0)
    when = datetime(2026, 1, 2, tzinfo=UTC)
    for number in range(5):
        stream.add_frame(jpeg(number), when)
    assert stream.last_frame_i == 4
    entry = stream.ringbuffer_entry(2)
    assert (entry.frame, entry.timestamp, entry.index) == (jpeg(2), when, 2)
    for missing, text in ((1, "no longer there"), (5, "not there yet"), (-1, "not there yet")):
        with pytest.raises(ValueError, match=text):
            stream.ringbuffer_entry(missing)


def test_a_portal_of_older_code_is_ignored() -> None:
    stream = Camera().stream
    stream.add_frame(jpeg(0), object())
    assert stream.ringbuffer_entry(0).timestamp.tzinfo is UTC


def test_those_who_wait_get_the_next_frame_on_every_loop() -> None:
    stream = Camera().stream
    stream.add_frame(jpeg(0))
    grabbed: list[Any] = []

    async def wait() -> None:
        grabbed.append(await asyncio.gather(stream.grab_frame(), stream.next_frame()))

    threads = [threading.Thread(target=asyncio.run, args=(wait(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    while sum(map(len, stream._waiters.values())) < 6:
        threading.Event().wait(0.001)
    stream.add_frame(jpeg(1))
    for thread in threads:
        thread.join(30)
    assert grabbed == [[jpeg(1), 1]] * 3


def test_the_size_of_the_next_frame() -> None:
    stream = Camera().stream

    async def ask() -> int:
        task = asyncio.create_task(stream.next_frame_size())
        await until(lambda: stream._waiters)
        stream.add_frame(jpeg(123))
        return await task

    assert asyncio.run(ask()) == len(jpeg(123))


def test_a_viewer_that_is_slow_skips_frames_and_another_gets_all() -> None:
    stream = Camera().stream

    async def watch() -> tuple[list[int], list[int]]:
        slow, quick = stream.frames(), stream.frame_async_generator()
        first = [asyncio.create_task(anext(slow)), asyncio.create_task(anext(quick))]
        seen_slowly, seen = [], []
        await until(lambda: stream.viewers == 2 and stream._waiters)
        for number in range(10):
            stream.add_frame(jpeg(number))
            if number == 0:
                seen_slowly.append((await first[0]).index)
                seen.append(number_of(await first[1]))
            else:
                seen.append(number_of(await anext(quick)))
        seen_slowly.append((await anext(slow)).index)
        await slow.aclose()
        await quick.aclose()
        return seen_slowly, seen

    seen_slowly, seen = asyncio.run(watch())
    assert seen == list(range(10))
    assert seen_slowly == [0, 9]
    assert (stream.frames_dropped, stream.viewers) == (8, 0)


@pytest.mark.parametrize("way", ["stop", "flag", "server"])
def test_viewers_end_when_the_stream_does(way: str) -> None:
    stream = Camera().stream

    async def watch() -> list[int]:
        seen = []

        async def view() -> None:
            seen.extend([frame.index async for frame in stream.frames()])

        task = asyncio.create_task(view())
        await until(lambda: stream._waiters)
        stream.add_frame(jpeg(0))
        await until(lambda: stream._waiters)
        if way == "stop":
            stream.stop()
        elif way == "server":
            stream.end_viewers()
        else:
            stream._streaming = False
            stream.add_frame(jpeg(1))
        async with asyncio.timeout(30):
            await task
        return seen

    assert asyncio.run(watch()) == [0]
    stream.add_frame(jpeg(2))
    assert stream.last_frame_i == (1 if way == "server" else 0)


def test_after_a_stop_waiting_is_the_end_until_it_is_reset() -> None:
    stream = Camera().stream
    stream.add_frame(jpeg(0))
    stream.stop()

    async def grab() -> Any:
        try:
            return await stream.grab_frame()
        except StopAsyncIteration:
            return "the end"

    assert asyncio.run(grab()) == "the end"
    stream.reset(ringbuffer_size=1)
    assert stream.last_frame_i == -1
    stream.add_frame(jpeg(1))
    stream.add_frame(jpeg(2))
    assert stream.ringbuffer_entry(1).frame == jpeg(2)
    with pytest.raises(ValueError, match="no longer there"):
        stream.ringbuffer_entry(0)


def test_a_loop_that_is_closed_costs_the_others_nothing() -> None:
    stream = Camera().stream
    loop = asyncio.new_event_loop()
    task = loop.create_task(stream.next_frame())
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    stream._waiters.setdefault(loop, set()).add(loop.create_future())
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    stream.add_frame(jpeg(0))
    assert stream.last_frame_i == 0


def test_the_rate_is_of_the_frames_that_come_now(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Camera().stream
    assert stream.frames_per_second == 0.0
    now = 100.0
    monkeypatch.setattr("labthings_fastapi.outputs.frame_stream.time.monotonic", lambda: now)
    for number in range(11):
        stream.add_frame(jpeg(number))
        now += 0.1
    assert stream.frames_per_second == pytest.approx(10)
    now += 60
    assert stream.frames_per_second == 0.0


def test_a_reset_ends_no_viewer() -> None:
    stream = Camera().stream

    async def watch() -> list[int]:
        frames = stream.frames()
        first = asyncio.create_task(anext(frames))
        await until(lambda: stream._waiters)
        stream.add_frame(jpeg(0))
        stream.reset()  # before the viewer has looked
        await asyncio.sleep(0)
        await until(lambda: stream._waiters)
        stream.add_frame(jpeg(1))
        seen = [number_of((await first).frame)]
        await frames.aclose()
        return seen

    assert asyncio.run(watch()) == [1]
