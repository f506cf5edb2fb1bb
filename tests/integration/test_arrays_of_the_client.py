"""Arrays in Python clients: numpy on both sides, `.npy` on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import labthings_fastapi as lt
from labthings_fastapi.client.description import Description
from labthings_fastapi.client.written_client import written_client
from labthings_fastapi.exceptions import ClientPropertyError

SIDE = 200


class Camera(lt.Thing):
    """Has arrays everywhere."""

    flat: npt.NDArray[np.uint16] = lt.property(default=np.ones(2, np.uint16))
    dark: np.ndarray | None = lt.property(default=None)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.got: list[Any] = []
        self.parts: dict[str, np.ndarray] = {"a": np.zeros(2)}

    @lt.property
    def frame(self) -> npt.NDArray[np.uint16]:
        return np.arange(6, dtype=">u2").reshape(2, 3).T

    @lt.property
    def pieces(self) -> dict[str, np.ndarray]:
        return self.parts

    @pieces.setter
    def _set_pieces(self, value: dict[str, np.ndarray]) -> None:
        self.parts = value

    @lt.action
    def capture(self, side: int = SIDE) -> npt.NDArray[np.uint16]:
        return np.full((side, side), 7, np.uint16)

    @lt.action(synchronous=True)
    def snap(self) -> npt.NDArray[np.uint16]:
        return np.full((SIDE, SIDE), 7, np.uint16)

    @lt.action
    def pair(self, one: np.ndarray, two: npt.NDArray[np.float32]) -> dict[str, np.ndarray]:
        self.got = [one, two]
        return {"one": one, "two": two}

    @lt.action
    def mean(self, image: npt.NDArray[np.float64], scale: float = 1.0) -> float:
        self.got = [image]
        return float(image.mean() * scale)

    @lt.action
    def slices(self) -> Iterator[npt.NDArray[np.float64]]:
        for index in range(3):
            yield np.full((SIDE, SIDE), float(index))


@pytest.fixture
def server() -> lt.ThingServer:
    return lt.ThingServer.from_things({"camera": Camera})


@pytest.fixture
def url(server: lt.ThingServer, running_server: Any) -> str:
    return f"http://127.0.0.1:{running_server(server.app).port}/camera/"


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with lt.ThingClient.from_url(url, arrays="numpy") as client:
        yield client


@pytest.fixture
def lists(url: str) -> Iterator[Any]:
    with lt.ThingClient.from_url(url) as client:
        yield client


def sent_types(client: Any) -> list[str]:
    """Return a list that gets the media type of each request with a body, from now on."""
    found: list[str] = []

    def note(request: Any) -> None:
        if request.method in ("PUT", "POST"):
            found.append(request.headers.get("content-type", ""))

    client.client.event_hooks["request"].append(note)
    return found


def test_values_are_arrays_of_their_own_dtype(client: Any) -> None:
    assert client.frame.dtype == ">u2"
    assert client.frame.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert client.flat.dtype == np.uint16
    assert client.dark is None
    assert isinstance(client.pieces["a"], np.ndarray)
    client.flat.fill(3)  # it may be written


def test_a_client_of_lists_gets_lists_everywhere(lists: Any) -> None:
    assert lists.frame == [[0, 3], [1, 4], [2, 5]]
    assert lists.pieces == {"a": [0.0, 0.0]}
    assert lists.capture() == [[7] * SIDE] * SIDE
    assert lists.snap() == [[7] * SIDE] * SIDE
    assert [value[0][0] for value in lists.start.slices().results()] == [0.0, 1.0, 2.0]


def test_a_property_is_set_from_an_array(client: Any) -> None:
    types = sent_types(client)
    client.flat = np.arange(3)  # of int64, as numpy makes it
    client.pieces = {"b": np.arange(2.0), "c": np.array([True])}
    client.dark = np.array(1 + 2j)
    client.flat = [4, 5]
    assert client.flat.tolist() == [4, 5]
    assert client.pieces["c"].dtype == bool
    assert client.dark == 1 + 2j
    npy, npz = "application/x-npy", "application/x-npz"
    assert types == [npy, npz, npy, "application/json"]


@pytest.mark.parametrize(
    "array", [np.array([0.5]), np.array([70000]), np.array([-1]), np.array([1j]), np.array(["a"])]
)
def test_an_array_whose_numbers_do_not_fit_is_refused(client: Any, array: Any) -> None:
    with pytest.raises(ClientPropertyError, match="flat"):
        client.flat = array
    assert client.flat.tolist() == [1, 1]


def test_outputs_are_arrays_small_and_large(client: Any) -> None:
    for output in (client.capture(), client.capture(side=2), client.snap()):
        assert output.dtype == np.uint16
        assert (output == 7).all()
    run = client.start.capture()
    assert run.result(timeout=30).shape == (SIDE, SIDE)
    assert client.attach(run.id).result().shape == (SIDE, SIDE)


def test_inputs_may_be_arrays(server: lt.ThingServer, client: Any) -> None:
    types = sent_types(client)
    large = np.random.default_rng(1).random((SIDE, SIDE))
    out = client.pair(large, np.arange(2))
    assert np.array_equal(out["one"], large)
    assert out["two"].tolist() == [0.0, 1.0]
    got: Any = server.things["camera"]
    assert got.got[1].dtype == np.float32
    assert client.mean(large) == pytest.approx(large.mean())
    assert client.mean(large, scale=2.0) == pytest.approx(2 * large.mean())
    assert client.mean([1, 2]) == 1.5
    npy, npz = "application/x-npy", "application/x-npz"
    assert types == [npz, npy, npz, "application/json"]


def test_results_are_arrays_as_they_come(client: Any) -> None:
    assert [value[0, 0] for value in client.start.slices().results()] == [0.0, 1.0, 2.0]


def test_all_things_of_a_server_give_arrays(url: str) -> None:
    with lt.connect(url.removesuffix("camera/")) as bench:
        assert bench["camera"].frame.dtype == ">u2"
        assert bench["camera"].capture().shape == (SIDE, SIDE)
        assert bench["camera"].pair(np.ones(2), np.ones(2)).one.tolist() == [1.0, 1.0]


def test_a_generated_client_gives_what_is_described(client: Any, url: str) -> None:
    members = client._protocol.description.members
    text = written_client({"camera": Description(url, members)})
    module: dict[str, Any] = {}
    exec(compile(text, "generated", "exec"), module)  # noqa: S102 - our own text
    with module["Camera"](url, progress=False) as camera:
        assert camera.frame.dtype == ">u2"
        assert camera.dark is None
        assert camera.capture().dtype == camera.capture(side=2).dtype == np.uint16
        assert camera.mean(np.ones((SIDE, SIDE))) == 1.0
    assert "def dark(self) -> NDArray[Any] | None:" in text


def test_an_asynchronous_client_gives_arrays_too(url: str) -> None:
    async def use() -> list[Any]:
        async with await lt.AsyncThingClient.from_url(url, arrays="numpy") as client:
            await client.set_property("flat", np.arange(2))
            run = await client.start.capture()
            return [await client.flat, await client.capture(), await run.result()]

    flat, *captured = asyncio.run(use())
    assert flat.tolist() == [0, 1]
    assert all(image.shape == (SIDE, SIDE) for image in captured)
