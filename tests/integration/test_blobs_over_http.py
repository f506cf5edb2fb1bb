"""Blobs go out as links and come in as links, between actions and between Things."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

import labthings_fastapi as lt

WAIT = {"Prefer": "wait=30"}


class Text(lt.blob.Blob):
    media_type = "text/plain"


class AnyText(lt.blob.Blob):
    media_type = "text/*"


class Pair(BaseModel):
    first: Text
    others: list[Text]


class Maker(lt.Thing):
    """Makes blobs."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.made: list[Text] = []

    @lt.action
    def make(self, text: str = "hello") -> Text:
        self.made.append(Text.from_bytes(text.encode()))
        return self.made[-1]

    @lt.action
    def pair(self) -> Pair:
        return Pair(first=Text.from_bytes(b"one"), others=[Text.from_bytes(b"two")])

    @lt.action
    def elsewhere(self) -> Text:
        return Text.from_url("http://elsewhere.example/a.txt")

    @lt.property
    def newest(self) -> Text:
        """The newest one."""
        return self.made[-1]


class User(lt.Thing):
    """Uses blobs."""

    maker: Maker = lt.thing_slot()

    @lt.action
    def length(self, pair: Pair) -> int:
        return sum(len(each.content) for each in (pair.first, *pair.others))

    @lt.action
    def upper(self, text: AnyText) -> AnyText:
        return AnyText.from_bytes(text.content.upper(), text.media_type)

    @lt.action
    def pass_on(self) -> bool:
        made = self.maker.make("shared")
        return made.data is self.maker.made[-1].data


def make_server(folder: Path) -> lt.ThingServer:
    things = {"maker": Maker, "user": User}
    return lt.ThingServer.from_things(things, settings_folder=folder, api_prefix="/api")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with make_server(tmp_path).test_client(base_url="http://localhost:5000") as client:
        yield client


def run(client: TestClient, path: str, **input: Any) -> Any:
    answer = client.post(f"/api{path}", json=input, headers=WAIT)
    assert answer.status_code == 201, answer.text
    state = answer.json()
    assert state["status"] == "completed", state
    return state


def test_a_link_is_an_absolute_url_wherever_a_client_reads_it(client: TestClient) -> None:
    state = run(client, "/maker/make")
    link = state["output"]
    assert link["href"].startswith("http://localhost:5000/api/blob/")
    id = state["id"]
    for path in (f"/action_invocations/{id}", f"/maker/make/{id}", f"/journal/{id}"):
        assert client.get(f"/api{path}").json()["output"] == link
    assert client.get("/api/maker/newest").json() == link
    assert client.get("/api/maker/properties").json() == {"newest": link}
    other = client.get(f"/api/action_invocations/{id}", headers={"Host": "127.0.0.1:5000"}).json()
    assert other["output"]["href"].startswith("http://127.0.0.1:5000/api/blob/")


def test_it_is_downloaded_with_its_type_and_a_name(client: TestClient) -> None:
    state = run(client, "/maker/make")
    answer = client.get(state["output"]["href"])
    assert (answer.content, answer.headers["content-type"]) == (b"hello", "text/plain")
    assert answer.headers["content-disposition"].startswith('inline; filename="maker-make-')
    assert answer.headers["etag"]
    part = client.get(state["output"]["href"], headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.content) == (206, b"el")
    head = client.head(state["output"]["href"])
    assert (head.content, head.headers["content-length"]) == (b"", "5")
    bare = client.get(f"/api/action_invocations/{state['id']}/output")
    assert (bare.content, bare.headers["content-type"]) == (b"hello", "text/plain")


def test_a_link_is_an_input_also_in_models_and_lists(client: TestClient) -> None:
    pair = run(client, "/maker/pair")["output"]
    state = run(client, "/user/length", pair=pair)
    assert state["output"] == 6
    assert state["input"] == {"pair": pair}


def test_a_blob_of_a_server_under_another_name_is_known(client: TestClient) -> None:
    link = run(client, "/maker/make")["output"]
    id = link["href"].rpartition("/")[2]
    moved = {"href": f"https://microscope.example/lab/blob/{id}", "media_type": "text/plain"}
    upper = run(client, "/user/upper", text=moved)["output"]
    assert client.get(upper["href"]).content == b"HELLO"


def test_what_is_no_blob_of_this_server_is_refused(client: TestClient) -> None:
    unknown = str(uuid4())
    for href, reason in (
        ("/blob/nothing", "Blob URLs must contain a Blob ID."),
        (f"/blob/{unknown}", f"Blob ID {unknown} wasn't found on this server."),
    ):
        input = {"text": {"href": href, "media_type": "text/plain"}}
        answer = client.post("/api/user/upper", json=input)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["msg"] == reason


def test_between_things_a_blob_is_not_copied(client: TestClient) -> None:
    assert run(client, "/user/pass_on")["output"] is True


def test_a_blob_of_another_server_keeps_its_url(client: TestClient) -> None:
    state = run(client, "/maker/elsewhere")
    assert state["output"]["href"] == "http://elsewhere.example/a.txt"
    output = client.get(f"/api/action_invocations/{state['id']}/output")
    assert output.json() == state["output"]


def test_blobs_of_recorded_runs_are_inputs_after_a_restart(tmp_path: Path) -> None:
    with make_server(tmp_path).test_client() as client:
        link = run(client, "/maker/make", text="before")["output"]
    gc.collect()
    with make_server(tmp_path).test_client() as client:
        assert client.get(link["href"]).content == b"before"
        upper = run(client, "/user/upper", text=link)
        assert client.get(upper["output"]["href"]).content == b"BEFORE"
        assert upper["input"]["text"]["href"] == link["href"]


def test_an_input_stays_with_the_run_that_used_it(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    with server.test_client() as client:
        made = run(client, "/maker/make", text="input")
        used = run(client, "/user/upper", text=made["output"])
        outputs = server.action_manager.journal.outputs
        assert outputs is not None
        folders = [path.parent.parent.name for path in tmp_path.rglob("blobs/*.json")]
        id = made["output"]["href"].rpartition("/")[2].replace("-", "")
        keepers = (tmp_path / "journal.outputs" / ".blobs" / id).read_text().split()
    ids = {made["id"].replace("-", ""), used["id"].replace("-", "")}
    assert set(keepers) == ids == set(folders)
