"""Streams of frames over HTTP, from a real server."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import httpx2
import numpy as np
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ClientError
from labthings_fastapi.outputs.npy import read_npy
from labthings_fastapi.server.thing_hooks import end_viewers


def jpeg(number: int, size: int = 50_000) -> bytes:
    return b"\xff\xd8" + b"%08d" % number + b"\x00" * size + b"\xff\xd9"


class Camera(lt.Thing):
    stream = lt.outputs.MJPEGStreamDescriptor()
    raw = lt.outputs.ArrayStreamDescriptor()
    silent = lt.outputs.MJPEGStreamDescriptor()

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        for number in itertools.count():
            if self._over.wait(0.01):
                return
            self.stream.add_frame(jpeg(number))
            self.raw.add_frame(np.full((4, 5), number, np.uint16))

    @lt.action
    async def grab(self) -> int:
        return len(await self.stream.grab_frame())

    @lt.action
    def grab_in_thread(self) -> int:
        return len(self._thing_server_interface.call_async_task(self.stream.grab_frame))

    @lt.endpoint("get", "sizes")
    async def sizes(self) -> list[int]:
        return [await self.stream.next_frame_size() for _ in range(2)]


@pytest.fixture
def running(running_server: Any, tmp_path: Path) -> Iterator[Any]:
    server = lt.ThingServer.from_things({"camera": Camera}, settings_folder=tmp_path)
    found = running_server(server.app)
    with httpx2.Client(base_url=found.url, timeout=30) as client:
        yield SimpleNamespace(server=server, port=found.port, client=client)


@contextmanager
def opened(port: int, path: str) -> Iterator[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with closing(connection):
        connection.request("GET", path)
        yield connection.getresponse()


def read_frame(answer: Any, media_type: str = "image/jpeg") -> bytes:
    assert answer.readline() == b"--frame\r\n"
    assert answer.readline() == f"Content-Type: {media_type}\r\n".encode()
    if media_type != "image/jpeg":
        assert answer.readline() == b"Content-Length: 168\r\n"
    assert answer.readline() == b"\r\n"
    if media_type != "image/jpeg":
        return answer.read(168 + 2)[:-2]  # type: ignore[no-any-return]
    return answer.read(len(jpeg(0)) + 2)[:-2]  # type: ignore[no-any-return]


def wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("It did not become true in time.")


def test_viewers_get_whole_frames_each_newer_than_the_last(running: Any) -> None:
    with (
        opened(running.port, "/camera/stream") as one,
        opened(running.port, "/camera/stream") as two,
    ):
        assert one.status == 200
        assert one.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        for answer in (one, two):
            numbers = [int(read_frame(answer)[2:10]) for _ in range(5)]
            assert numbers == sorted(set(numbers))


def test_who_never_reads_costs_the_others_nothing(running: Any) -> None:
    camera = running.server.things["camera"]
    with opened(running.port, "/camera/stream"), opened(running.port, "/camera/stream") as quick:
        while camera.stream.frames_dropped == 0:  # the one that never reads is behind
            read_frame(quick)
        before = camera.stream.last_frame_i
        while int(read_frame(quick)[2:10]) < before + 20:
            pass
        assert camera.stream.viewers == 2
        assert camera.stream.frames_per_second > 0


def test_a_viewer_that_leaves_is_counted_out(running: Any) -> None:
    camera = running.server.things["camera"]
    with opened(running.port, "/camera/stream") as answer:
        read_frame(answer)
        assert camera.stream.viewers == 1
    wait_until(lambda: camera.stream.viewers == 0)


def test_arrays_are_sent_as_numpy_reads_them(running: Any) -> None:
    with opened(running.port, "/camera/raw") as answer:
        numbers = []
        for _ in range(3):
            array = read_npy(read_frame(answer, "application/x-npy"))
            assert (array.shape, array.dtype) == ((4, 5), np.uint16)
            numbers.append(int(array[0, 0]))
    assert numbers == sorted(set(numbers))


def test_a_snapshot_is_the_newest_frame(running: Any) -> None:
    answer = running.client.get("/camera/stream/snapshot")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch(rb"\xff\xd8\d{8}\x00+\xff\xd9", answer.content)
    assert int(answer.headers["labthings-frame-index"]) == int(answer.content[2:10])
    array = read_npy(running.client.get("/camera/raw/snapshot").content)
    assert array.shape == (4, 5)


def test_without_a_frame_there_is_no_snapshot(running: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("labthings_fastapi.bindings.http.frame_resources.FIRST_FRAME", 0.05)
    answer = running.client.get("/camera/silent/snapshot")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "'silent'" in answer.json()["detail"]


def test_the_viewer_is_a_page_with_the_stream(running: Any) -> None:
    answer = running.client.get("/camera/stream/viewer")
    assert answer.headers["content-type"].startswith("text/html")
    assert '<img src="../stream"' in answer.text
    assert running.client.get("/camera/raw/viewer").status_code == 404


def test_frames_are_awaited_on_both_loops_at_once(running: Any) -> None:
    wait = {"Prefer": "wait=30"}
    for action in ("grab", "grab_in_thread"):
        assert running.client.post(f"/camera/{action}", headers=wait).json()["output"] == 50_012
    assert running.client.get("/camera/sizes").json() == [50_012, 50_012]


def test_they_are_no_affordances(running: Any) -> None:
    td = running.client.get("/camera/").json()
    assert set(td.get("properties", {})) == set()
    assert set(td["actions"]) == {"grab", "grab_in_thread"}


def test_other_methods_are_refused(running: Any) -> None:
    assert running.client.post("/camera/stream").status_code == 405
    assert running.client.head("/camera/stream").status_code == 200


def test_viewers_are_ended_by_the_end_of_the_server(running: Any) -> None:
    camera = running.server.things["camera"]
    with opened(running.port, "/camera/stream") as answer:
        read_frame(answer)
        end_viewers([camera])
        assert answer.read().endswith(b"--frame--\r\n")


LAB = """
import threading
import labthings_fastapi as lt

class Camera(lt.Thing):
    stream = lt.outputs.MJPEGStreamDescriptor()

    def __enter__(self):
        self.stream.add_frame(b"\\xff\\xd8picture\\xff\\xd9")
        return self

    def __exit__(self, *_):
        print("closed", flush=True)

    @lt.action
    def show(self) -> None:
        self.stream.add_frame(b"\\xff\\xd8picture\\xff\\xd9")

lt.ThingServer.from_things({"camera": Camera}).serve(port=0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_a_viewer_does_not_hold_up_the_end_of_the_process(
    running_server: Any, tmp_path: Path
) -> None:
    (tmp_path / "lab.py").write_text(LAB, "utf-8")
    running = running_server.process(cwd=tmp_path, command=(sys.executable, "lab.py"))
    with opened(running.port, "/camera/stream") as answer:
        assert answer.status == 200
        assert running.stop() == 0
    assert "closed" in running.output()


@contextmanager
def socket(port: int, path: str = "/ws") -> Iterator[Any]:
    with connect(
        f"ws://127.0.0.1:{port}{path}", subprotocols=[Subprotocol("webthingprotocol")], proxy=None
    ) as wire:
        yield wire


def ask(wire: Any, operation: str, **members: Any) -> Any:
    message = {"messageType": "request", "operation": operation, "correlationID": operation}
    wire.send(json.dumps({**message, **members}))
    while True:
        answer = wire.recv(timeout=30)
        if isinstance(answer, str):
            return json.loads(answer)


def next_frame(wire: Any) -> tuple[dict[str, Any], bytes]:
    message = wire.recv(timeout=30)
    assert isinstance(message, bytes)
    length = int.from_bytes(message[:4], "big")
    return json.loads(message[4 : 4 + length]), message[4 + length :]


@pytest.mark.parametrize("path", ["/ws", "/camera/ws"])
def test_frames_come_over_the_socket_to_who_asked(running: Any, path: str) -> None:
    with socket(running.port, path) as wire, socket(running.port, path) as other:
        answer = ask(wire, "labthings:observestream", thingID="camera", name="stream")
        assert answer["messageType"] == "response"
        indices = []
        for _ in range(5):
            header, frame = next_frame(wire)
            assert frame == jpeg(header["index"])
            assert (header["name"], header["contentType"]) == ("stream", "image/jpeg")
            assert header["thingID"] == answer["thingID"]
            assert datetime.fromisoformat(header["timestamp"]).tzinfo is not None
            indices.append(header["index"])
        assert indices == sorted(set(indices))
        assert ask(other, "readallproperties", thingID="camera")["values"] == {}


def test_a_socket_shows_several_streams_and_answers_meanwhile(running: Any) -> None:
    with socket(running.port) as wire:
        for name in ("stream", "raw"):
            ask(wire, "labthings:observestream", thingID="camera", name=name)
        ask(wire, "labthings:observestream", thingID="camera", name="raw")  # once only
        seen: set[str] = set()
        while seen != {"stream", "raw"}:
            header, frame = next_frame(wire)
            seen.add(header["name"])
            if header["name"] == "raw":
                assert read_npy(frame).shape == (4, 5)
        assert ask(wire, "readallproperties", thingID="camera")["values"] == {}


def test_a_stream_can_be_left(running: Any) -> None:
    camera = running.server.things["camera"]
    with socket(running.port) as wire:
        ask(wire, "labthings:observestream", thingID="camera", name="stream")
        next_frame(wire)
        ask(wire, "labthings:unobservestream", thingID="camera", name="stream")
        assert ask(wire, "readallproperties", thingID="camera")["messageType"] == "response"
        wait_until(lambda: camera.stream.viewers == 0)
        ask(wire, "labthings:observestream", thingID="camera", name="stream")
        next_frame(wire)
    wait_until(lambda: camera.stream.viewers == 0)


def test_a_stream_that_does_not_exist_is_named(running: Any) -> None:
    with socket(running.port) as wire:
        answer = ask(wire, "labthings:observestream", thingID="camera", name="strem")
        assert answer["error"]["status"] in (404, "404")
        for name in ("strem", "stream", "raw", "silent"):
            assert name in answer["error"]["detail"]


def test_a_client_gets_frames_and_snapshots(running: Any) -> None:
    camera: Any = lt.ThingClient.from_url(f"http://127.0.0.1:{running.port}/camera/")
    with camera:
        numbers = [int(frame[2:10]) for frame in itertools.islice(camera.live_frames("stream"), 4)]
        assert numbers == sorted(set(numbers))
        arrays = list(itertools.islice(camera.live_frames("raw"), 3))
        assert [each.shape for each in arrays] == [(4, 5)] * 3
        assert camera.snapshot("stream").startswith(b"\xff\xd8")
        assert camera.snapshot("raw").dtype == np.uint16
        with pytest.raises(ClientError, match=r"no live stream 'strem'.*raw, silent, stream"):
            camera.snapshot("strem")
    wait_until(lambda: running.server.things["camera"].stream.viewers == 0)


def test_an_asynchronous_client_gets_them_too(running: Any) -> None:
    async def grab() -> tuple[list[int], Any]:
        url = f"http://127.0.0.1:{running.port}/camera/"
        async with await lt.AsyncThingClient.from_url(url) as camera:
            numbers = []
            async with aclosing(camera.live_frames("stream")) as frames:
                async for frame in frames:
                    numbers.append(int(frame[2:10]))
                    if len(numbers) == 3:
                        break
            return numbers, await camera.snapshot("raw")

    numbers, array = asyncio.run(grab())
    assert numbers == sorted(set(numbers))
    assert array.shape == (4, 5)
