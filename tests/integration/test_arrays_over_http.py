"""Arrays over HTTP: nested lists by default, `.npy` and `.npz` where a client asks for them."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pytest
from fastapi.testclient import TestClient

import labthings_fastapi as lt
from labthings_fastapi.types.numpy import ArrayType

NPY, NPZ = "application/x-npy", "application/x-npz"
WAIT = {"Prefer": "wait=30"}
AS_NPY = {"Accept": f"{NPY}, application/json;q=0.5"}
AS_NPZ = {"Accept": NPZ}
FACTORS = np.array([1, 2], np.uint8)
SIDE = 200  # pixels; larger than what is kept in a record


@dataclasses.dataclass
class Stack:
    image: npt.NDArray[np.uint16]
    dark: np.ndarray | None = None
    name: str = "stack"


class Camera(lt.Thing):
    """Has arrays everywhere."""

    flat: npt.NDArray[np.float64] = lt.property(default=np.ones(2))
    mask: np.ndarray | None = lt.property(default=None)
    seen: npt.NDArray[np.uint8] = lt.property(default=np.zeros(2, np.uint8), observable=True)
    name_: str = lt.property(default="x")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pixels: Any = np.arange(6, dtype=">u2").reshape(2, 3)
        self.pair = Stack(np.zeros(2, np.uint16), np.ones((2, 2)))

    @lt.property
    def frame(self) -> Annotated[npt.NDArray[np.uint16], ArrayType(shape=(None, 3), unit="counts")]:
        return self.pixels

    @lt.property
    def stack(self) -> Stack:
        return self.pair

    @stack.setter
    def _set_stack(self, value: Stack) -> None:
        value.image += 1  # what is sent may be changed in place
        self.pair = value

    @lt.action
    def capture(self, side: int = SIDE) -> npt.NDArray[np.uint16]:
        return np.arange(side * side, dtype=np.uint16).reshape(side, side)

    @lt.action(synchronous=True)
    def snap(self, side: int = SIDE) -> npt.NDArray[np.uint16]:
        return np.arange(side * side, dtype=np.uint16).reshape(side, side)

    @lt.action(synchronous=True)
    def blur(self, image: npt.NDArray[np.float64], sigma: float = 1) -> npt.NDArray[np.float64]:
        image *= sigma
        return image

    @lt.action(synchronous=True)
    def scaled(self, by: np.ndarray = FACTORS) -> list[Any]:
        assert isinstance(by, np.ndarray)
        by *= 2
        return [str(by.dtype), by.tolist()]

    @lt.action
    def add(self, one: np.ndarray, two: np.ndarray) -> Stack:
        return Stack((one + two).astype(np.uint16), np.zeros(1), name="sum")

    @lt.action
    def slices(self) -> Iterator[npt.NDArray[np.float64]]:
        for index in range(2):
            yield np.full((SIDE, SIDE), float(index))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def make_server(folder: Path) -> lt.ThingServer:
    return lt.ThingServer.from_things({"camera": Camera}, settings_folder=folder)


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with make_server(folder).test_client() as client:
        yield client


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def loaded(answer: Any, media_type: str = NPY) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    return np.load(io.BytesIO(answer.content), allow_pickle=False)


def put(client: TestClient, name: str, body: bytes, media_type: str = NPY) -> Any:
    return client.put(f"/camera/{name}", content=body, headers={"Content-Type": media_type})


def post(client: TestClient, name: str, body: bytes, media_type: str, **headers: str) -> Any:
    return client.post(
        f"/camera/{name}", content=body, headers={"Content-Type": media_type, **headers}
    )


def completed(answer: Any) -> Any:
    state = answer.json()
    assert state["status"] == "completed", state
    return state


# --- properties -------------------------------------------------------------------------------


def test_a_property_is_lists_unless_the_client_names_the_form_of_arrays(client: TestClient) -> None:
    for headers in ({}, {"Accept": "*/*"}, {"Accept": f"application/json, {NPY};q=0.9"}):
        answer = client.get("/camera/frame", headers=headers)
        assert answer.json() == [[0, 1, 2], [3, 4, 5]]
        assert answer.headers["vary"] == "Accept"
    answer = client.get("/camera/frame", headers={"Accept": NPY})
    found = loaded(answer)
    assert found.dtype == ">u2"
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert "labthings-reading-time" in answer.headers
    assert answer.headers["vary"] == "Accept"


def test_a_property_with_several_arrays_is_an_npz_that_numpy_reads(client: TestClient) -> None:
    found = loaded(client.get("/camera/stack", headers=AS_NPZ), NPZ)
    assert found["image"].tolist() == [0, 0]
    assert found["dark"].shape == (2, 2)
    assert client.get("/camera/stack", headers=AS_NPY).json()["image"] == [0, 0]
    assert loaded(client.get("/camera/frame", headers=AS_NPZ), NPZ)["value"].shape == (2, 3)


def test_a_property_without_arrays_is_json_whatever_is_asked(client: TestClient) -> None:
    assert client.get("/camera/name_", headers=AS_NPY).json() == "x"
    assert client.get("/camera/mask", headers=AS_NPY).json() is None


def test_head_tells_the_size_and_sends_nothing(client: TestClient) -> None:
    sent = client.get("/camera/frame", headers={"Accept": NPY})
    answer = client.head("/camera/frame", headers={"Accept": NPY})
    assert answer.headers["content-length"] == str(len(sent.content))
    assert answer.content == b""


@pytest.mark.parametrize(
    "array",
    [
        np.arange(3.0),
        np.arange(3, dtype=">f4"),
        np.arange(8, dtype=np.int32)[::2],
        np.array([np.nan, np.inf]),
        np.array(2.5),
        np.empty((0, 2)),
    ],
)
def test_an_array_is_written_and_read_back(client: TestClient, array: Any) -> None:
    assert put(client, "flat", npy(array)).status_code == 204
    found = loaded(client.get("/camera/flat", headers={"Accept": NPY}))
    assert found.dtype == np.float64
    assert np.array_equal(found, array, equal_nan=True)


def test_several_arrays_are_written_as_numpy_saves_them(client: TestClient) -> None:
    assert put(client, "stack", npz(image=np.zeros(3, np.uint8)), NPZ).status_code == 204
    assert client.get("/camera/stack").json() == {
        "image": [1, 1, 1],
        "dark": None,
        "name": "stack",
    }
    sent = client.get("/camera/stack", headers=AS_NPZ).content
    assert put(client, "stack", sent, NPZ).status_code == 204
    assert client.get("/camera/stack").json()["image"] == [2, 2, 2]


@pytest.mark.parametrize(
    ("name", "body", "media_type", "why"),
    [
        ("flat", npy(np.zeros(2, np.complex64)), NPY, "dtype is complex64"),
        ("stack", npz(image=np.zeros(2)), NPZ, "image: Input should be an array of dtype uint16"),
        ("stack", npz(dark=np.zeros(2)), NPZ, "image: Field required"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_with_its_reason(
    client: TestClient, assert_problem: Any, name: str, body: bytes, media_type: str, why: str
) -> None:
    before = client.get(f"/camera/{name}").json()
    assert why in assert_problem(put(client, name, body, media_type), 422)["detail"]
    assert client.get(f"/camera/{name}").json() == before


@pytest.mark.parametrize(
    ("name", "body", "media_type"),
    [
        ("flat", b"", NPY),
        ("flat", b"[1, 2]", NPY),
        ("flat", npy(np.zeros(9))[:-1], NPY),
        ("flat", npz(a=np.zeros(2), b=np.zeros(2))[:-9], NPZ),
        ("stack", npy(np.zeros(2)), NPY),
        ("stack", npz(image=np.array([{}], dtype=object)), NPZ),
    ],
)
def test_a_damaged_file_is_malformed(
    client: TestClient, assert_problem: Any, name: str, body: bytes, media_type: str
) -> None:
    assert_problem(put(client, name, body, media_type), 400)


def test_a_property_without_arrays_takes_none(client: TestClient, assert_problem: Any) -> None:
    assert NPY in assert_problem(put(client, "name_", npy(np.zeros(2))), 415)["detail"]


def test_a_reading_of_another_dtype_is_an_error_of_the_thing(
    folder: Path, assert_problem: Any
) -> None:
    server = make_server(folder)
    with server.test_client() as client:
        server.things["camera"].pixels = np.zeros((2, 3))  # type: ignore[attr-defined]
        for headers in ({}, AS_NPY):
            problem = assert_problem(client.get("/camera/frame", headers=headers), 500)
            assert "dtype is float64" in problem["detail"]


def test_arrays_are_observed_only_where_that_is_declared(client: TestClient) -> None:
    properties = client.get("/camera/").json()["properties"]
    assert properties["seen"]["observable"] is True
    assert properties["flat"]["observable"] is False


# --- actions ----------------------------------------------------------------------------------


def test_the_output_of_a_run_is_lists_by_default(client: TestClient) -> None:
    state = completed(client.post("/camera/capture", headers=WAIT))
    wanted = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    assert np.array_equal(state["output"], wanted)
    id = state["id"]
    for url in (state["href"], f"/action_invocations/{id}"):
        assert np.array_equal(client.get(url).json()["output"], wanted)
    assert np.array_equal(client.get(f"/action_invocations/{id}/output").json(), wanted)


def test_a_client_that_takes_arrays_gets_a_link_and_the_array(client: TestClient) -> None:
    state = completed(client.post("/camera/capture", headers=WAIT | AS_NPY))
    link = state["output"]
    assert link["labthings:dtype"] == "uint16"
    assert link["labthings:shape"] == [SIDE, SIDE]
    wanted = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)
    for answer in (
        client.get(link["href"]),
        client.get(f"/action_invocations/{state['id']}/output", headers=AS_NPY),
    ):
        assert int(answer.headers["content-length"]) == link["size"]
        assert np.array_equal(loaded(answer), wanted)


def test_a_small_output_is_in_the_record_itself(client: TestClient) -> None:
    state = completed(client.post("/camera/capture", json={"side": 2}, headers=WAIT | AS_NPY))
    assert state["output"] == [[0, 1], [2, 3]]


def test_the_journal_has_a_link_and_the_array_survives_a_restart(folder: Path) -> None:
    with make_server(folder).test_client() as client:
        id = completed(client.post("/camera/capture", headers=WAIT))["id"]
        lists = client.get(f"/action_invocations/{id}/output").json()
    with make_server(folder).test_client() as client:
        answer = client.get(f"/action_invocations/{id}/output", headers=AS_NPY)
        assert np.array_equal(loaded(answer), lists)
        assert client.get(f"/action_invocations/{id}/output").json() == lists
        assert len(client.get(f"/journal/invocations/{id}").content) < 4096


def test_a_synchronous_action_answers_with_the_array(client: TestClient) -> None:
    assert loaded(client.post("/camera/snap", headers=AS_NPY)).shape == (SIDE, SIDE)
    assert loaded(client.post("/camera/snap", headers=AS_NPZ), NPZ)["value"].dtype == np.uint16
    answer = client.post("/camera/snap", json={"side": 2})
    assert answer.json() == [[0, 1], [2, 3]]
    assert answer.headers["vary"] == "Accept"


def test_the_only_array_of_an_action_is_sent_by_itself(client: TestClient) -> None:
    answer = post(client, "blur", npy(np.ones((2, 2), np.float32)), NPY, **AS_NPY)
    assert loaded(answer).tolist() == [[1, 1], [1, 1]]
    body = npz(image=np.ones(2), sigma=2.5)
    assert post(client, "blur", body, NPZ).json() == [2.5, 2.5]


def test_an_array_may_be_a_default(client: TestClient) -> None:
    for _ in range(2):  # what one run changes in place, the next does not see
        assert client.post("/camera/scaled").json() == ["uint8", [2, 4]]
    described = client.get("/camera/").json()["actions"]["scaled"]["input"]
    assert described["properties"]["by"]["default"] == [1, 2]


def test_an_action_with_several_arrays_needs_their_names(
    client: TestClient, assert_problem: Any
) -> None:
    problem = assert_problem(post(client, "add", npy(np.ones(2)), NPY), 400)
    assert "(one, two)" in problem["detail"]
    body = npz(one=np.ones(2), two=np.ones(2))
    state = completed(post(client, "add", body, NPZ, **WAIT))
    assert state["output"] == {"image": [2, 2], "dark": [0.0], "name": "sum"}


def test_a_large_input_is_kept_as_a_file_of_the_run(client: TestClient) -> None:
    image = np.random.default_rng(1).integers(0, 9, (SIDE, SIDE))
    body = npz(one=image, two=np.zeros(1))
    state = completed(post(client, "add", body, NPZ, **WAIT))
    assert state["input"]["two"] == [0.0]
    link = state["input"]["one"]
    assert link["labthings:shape"] == [SIDE, SIDE]
    assert np.array_equal(loaded(client.get(link["href"])), image)
    assert np.array_equal(state["output"]["image"], image)


def test_a_key_starts_one_run_with_one_array(client: TestClient, assert_problem: Any) -> None:
    headers = {"Idempotency-Key": "a", **WAIT}
    body = npz(one=np.ones(2), two=np.ones(2))
    first = completed(post(client, "add", body, NPZ, **headers))
    again = completed(post(client, "add", body, NPZ, **headers))
    assert again["id"] == first["id"]
    other = npz(one=np.ones(2), two=np.zeros(2))
    assert_problem(post(client, "add", other, NPZ, **headers), 422)


def test_yielded_arrays_are_kept_one_by_one(client: TestClient) -> None:
    state = completed(client.post("/camera/slices", headers=WAIT | AS_NPY))
    arrays = [loaded(client.get(each["href"])) for each in state["output"]]
    assert [array[0, 0] for array in arrays] == [0.0, 1.0]
    lists = client.get(f"/action_invocations/{state['id']}/output").json()
    assert np.array_equal(lists, arrays)


# --- the description --------------------------------------------------------------------------


def test_forms_tell_in_which_types_arrays_are_sent(client: TestClient) -> None:
    described = client.get("/camera/").json()
    frame = described["properties"]["frame"]
    assert frame["labthings:dtype"] == "uint16"
    assert frame["labthings:shape"] == [None, 3]
    assert frame["items"]["items"]["unit"] == "counts"
    reads = [form["contentType"] for form in frame["forms"] if form["op"] == "readproperty"]
    assert reads[:2] == ["application/json", NPY]
    flat = described["properties"]["flat"]["forms"]
    assert {"application/json", NPY} <= {
        form["contentType"] for form in flat if form["op"] == "writeproperty"
    }
    snap = described["actions"]["snap"]["forms"]
    assert [form.get("response") for form in snap][:2] == [None, {"contentType": NPY}]
    add = described["actions"]["add"]["forms"]
    assert [form["contentType"] for form in add][:2] == ["application/json", NPZ]
    blur = described["actions"]["blur"]["forms"]
    assert blur[1]["contentType"] == blur[1]["response"]["contentType"] == NPY


def test_a_large_default_is_not_in_the_description(tmp_path: Path) -> None:
    class Large(lt.Thing):
        flat: np.ndarray = lt.property(default=np.ones((100, 100)))
        dark: np.ndarray = lt.property(default=np.zeros(2))

    server = lt.ThingServer.from_things({"large": Large}, settings_folder=tmp_path)
    with server.test_client() as client:
        described = client.get("/large/").json()["properties"]
        assert "default" not in described["flat"]
        assert described["dark"]["default"] == [0.0, 0.0]
        assert client.post("/large/flat/reset").status_code == 204


def test_the_description_is_valid_and_openapi_names_the_types(folder: Path) -> None:
    server = make_server(folder)
    with server.test_client() as client:
        server.things["camera"].validate_thing_description()
        document = client.get("/openapi.json").json()
    frame = document["paths"]["/camera/frame"]["get"]["responses"]["200"]["content"]
    assert frame.keys() >= {"application/json", NPY, NPZ}
    blur = document["paths"]["/camera/blur"]["post"]["requestBody"]["content"]
    assert blur.keys() == {"application/json", NPY, NPZ}
