"""The journal of a server: over HTTP, after restarts, and with a second server."""

from __future__ import annotations

import contextlib
import gc
import logging
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest

import labthings_fastapi as lt
from labthings_fastapi.actions.context import get_invocation_directory
from labthings_fastapi.exceptions import FolderInUseError, ServerConfigurationError
from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.record import OUTPUT_LIMIT
from labthings_fastapi.journal.sqlite import SqliteJournal


class Note(lt.blob.Blob):
    media_type = "text/plain"


class Stage(lt.Thing):
    note: str = lt.setting(default="")
    stuck = threading.Event()

    def __enter__(self) -> Self:
        self._closing = contextlib.ExitStack()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @lt.action
    def add(self, a: int = 1, b: int = 2) -> int:
        self.logger.info("Adding %s and %s.", a, b)
        return a + b

    @lt.action
    def fail(self) -> None:
        raise OSError("no answer")

    @lt.action
    def write(self, size: int) -> str:
        return "x" * size

    @lt.action
    def picture(self) -> Note:
        return Note.from_bytes(b"binary")

    @lt.action
    def pictures(self) -> Iterator[Note]:
        yield Note.from_bytes(b"first")
        folder = tempfile.TemporaryDirectory()
        self._closing.callback(folder.cleanup)
        Path(folder.name, "second.txt").write_bytes(b"second, in a file")
        yield Note.from_temporary_directory(folder, "second.txt")

    @lt.action
    def pictures_and_failure(self) -> Iterator[Note]:
        yield from self.pictures()
        raise OSError("no light")

    @lt.action
    def leave_files(self) -> str:
        (get_invocation_directory() / "image.txt").write_bytes(b"pixels")
        return "left"


@pytest.fixture
def serve(tmp_path):
    """Make a server on the same settings folder each time."""

    def make(**config):
        config.setdefault("settings_folder", tmp_path / "settings")
        return lt.ThingServer.from_things({"stage": Stage}, **config)

    return make


def test_no_file_is_created_before_the_first_run(serve, tmp_path, ended):
    with serve().test_client() as client:
        assert client.get("/stage/note").status_code == 200
        assert client.get("/journal").json() == {"records": [], "next": None}
        assert client.get(f"/action_invocations/{uuid4()}").status_code == 404
        assert not list(tmp_path.rglob("journal.sqlite"))
        ended(client, client.post("/stage/add").json()["href"])
        assert (tmp_path / "settings" / "journal.sqlite").is_file()


def test_a_run_reads_the_same_after_a_restart_in_both_vocabularies(serve, ended):
    with serve(api_prefix="/api").test_client() as client:
        href = client.post("/api/stage/add", json={"a": 5}).json()["href"]
        id = ended(client, href)["id"]
        own = f"/api/action_invocations/{id}"
        before = [client.get(url).json() for url in (href, own)]
    with serve(api_prefix="/api").test_client() as client:
        assert [client.get(url).json() for url in (href, own)] == before
        assert client.get(f"{own}/output").json() == 7
        events = client.get(f"{own}/events")
        assert '"status":"completed"' in events.text
        assert client.get(own, headers={"Prefer": "wait=50"}).status_code == 200
        assert client.get(f"/api/stage/fail/{id}").status_code == 404, "it is of another action"


def test_an_ended_run_of_an_earlier_start_cannot_be_cancelled(serve, ended, assert_problem):
    with serve().test_client() as client:
        run = ended(client, client.post("/stage/fail").json()["href"])
    with serve().test_client() as client:
        assert_problem(client.delete(run["href"]), 409)
        assert_problem(client.delete(f"/action_invocations/{run['id']}"), 409)
        assert_problem(client.get(f"/action_invocations/{run['id']}/output"), 409)
        assert client.get(run["href"]).json()["error"] == run["error"]


def every_view(client, run):
    """Return what all addresses of a run answer, and of what it left."""
    id = run["id"]
    own = f"/action_invocations/{id}"
    paths = [own, f"{run['action']}/{id}", f"{own}/output", f"{own}/files"]
    paths += [f"{own}/files/{file['name']}" for file in client.get(f"{own}/files").json()]
    answers = [client.get(path) for path in paths]
    body = answers[0].json()
    output = body["output"] if isinstance(body["output"], list) else [body["output"]]
    links = [each["href"] for each in output if isinstance(each, dict) and "href" in each]
    answers += [client.get(link) for link in links]
    events = client.get(f"{own}/events").text.partition("data: ")[2]
    shown = [(each.status_code, each.headers["content-type"], each.content) for each in answers]
    return [*shown, events]


@pytest.mark.parametrize(
    ("action", "input"),
    [
        ("add", None),
        ("fail", None),
        ("write", {"size": 10}),
        ("write", {"size": OUTPUT_LIMIT}),
        ("picture", None),
        ("pictures", None),
        ("pictures_and_failure", None),
        ("leave_files", None),
    ],
)
def test_all_addresses_of_a_run_answer_alike_when_it_has_expired_and_after_a_restart(
    serve, action, input
):
    server = serve()
    with server.test_client() as client:
        answer = client.post(f"/stage/{action}", json=input, headers={"Prefer": "wait=30"})
        run = answer.json()
        before = every_view(client, run)
        assert before[0][0] == 200
        manager = server.action_manager
        manager._clock = lambda: time.monotonic() + 1000
        manager.expire_invocations()
        assert manager.invocations == []
        gc.collect()
        assert every_view(client, run) == before
        assert client.delete(f"/action_invocations/{run['id']}").status_code == 409
    with serve().test_client() as client:
        assert every_view(client, run) == before


def test_a_blob_and_files_of_a_run_are_as_the_action_left_them(serve):
    with serve().test_client() as client:
        blobs = client.post("/stage/pictures", headers={"Prefer": "wait=30"}).json()
        files = client.post("/stage/leave_files", headers={"Prefer": "wait=30"}).json()
    with serve().test_client() as client:
        run = client.get(f"/action_invocations/{blobs['id']}").json()
        contents = [client.get(each["href"]).content for each in run["output"]]
        assert contents == [b"first", b"second, in a file"]
        own = f"/action_invocations/{files['id']}/files"
        assert [each["name"] for each in client.get(own).json()] == ["image.txt"]
        assert client.get(f"{own}/image.txt").content == b"pixels"
        for name in ("..%2foutput", "%2e%2e", "nothing"):
            assert client.get(f"{own}/{name}").status_code == 404


def test_what_a_run_left_goes_with_its_details(serve, tmp_path):
    server = serve()
    with server.test_client() as client:
        runs = [
            client.post(f"/stage/{action}", headers={"Prefer": "wait=30"}).json()
            for action in ("pictures", "leave_files")
        ]
    server.action_manager._clock = lambda: time.monotonic() + 1000
    server.action_manager.expire_invocations()  # what is in memory can be downloaded
    gc.collect()
    journal = SqliteJournal(
        tmp_path / "settings" / "journal.sqlite",
        boot_id="later",
        clock=lambda: datetime.now(UTC) + timedelta(days=31),
    )
    journal.sweep().result(60)
    journal.close(60)
    with serve().test_client() as client:
        for run in runs:
            own = f"/action_invocations/{run['id']}"
            head = client.get(own).json()
            assert head["status"] == "completed"
            assert head["detailsDropped"] is True
            assert head["input"] is head["output"] is None
            assert client.get(f"{own}/files").json() == []
            assert client.get(f"{own}/output").status_code == 409
        assert client.get(runs[0]["output"][0]["href"]).status_code == 404
    left = tmp_path / "settings" / "journal.outputs"
    assert [entry for entry in left.iterdir() if not entry.name.startswith(".")] == []


def test_with_a_journal_in_memory_an_expired_run_is_answered_and_its_blobs_too(serve):
    server = serve(journal="memory")
    with server.test_client() as client:
        run = client.post("/stage/pictures", headers={"Prefer": "wait=30"}).json()
        before = every_view(client, run)
        server.action_manager._clock = lambda: time.monotonic() + 1000
        server.action_manager.expire_invocations()
        gc.collect()
        assert every_view(client, run) == before


def test_a_server_object_may_be_started_again(serve, ended):
    server = serve()
    for number in range(2):
        with server.test_client() as client:
            ended(client, client.post("/stage/add").json()["href"])
            assert len(client.get("/journal").json()["records"]) == number + 1


def test_a_second_server_of_this_process_records_in_memory(serve, ended, caplog):
    with serve().test_client() as first, caplog.at_level(logging.WARNING, "labthings_fastapi"):
        second = serve()
        with second.test_client() as client:
            assert "recorded in memory only" in caplog.text
            ended(client, client.post("/stage/add").json()["href"])
            assert len(client.get("/journal").json()["records"]) == 1
        assert first.get("/journal").json()["records"] == []


def test_the_journal_may_be_in_memory(serve, ended, tmp_path):
    server = serve(journal="memory")
    with server.test_client() as client:
        ended(client, client.post("/stage/add").json()["href"])
        assert isinstance(server.action_manager.journal, MemoryJournal)
    assert not list(tmp_path.rglob("journal.sqlite"))


def test_the_journal_may_be_elsewhere(serve, ended, tmp_path):
    path = tmp_path / "else" / "runs.db"
    with serve(
        journal={"path": path, "keep_days": 1, "synchronous": "FULL"}
    ).test_client() as client:
        ended(client, client.post("/stage/add").json()["href"])
    assert path.is_file()


@pytest.mark.parametrize("journal", ["postgres", {"keep_days": 0}, {"kept": 1}, 5])
def test_an_invalid_journal_is_a_configuration_error(serve, journal):
    with pytest.raises(ServerConfigurationError, match="journal"):
        serve(journal=journal)


HOLDER = """
import sys
from pathlib import Path
from labthings_fastapi.thing_host.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.claim()
lock.secure()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_process(tmp_path):
    """Return a function that lets another process lock the settings folder until the test ends."""
    started = []

    def hold():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "settings")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate(timeout=30)


def test_a_folder_that_another_process_uses_is_refused_at_the_start(serve, other_process):
    process = other_process()
    server = serve()
    with pytest.raises(FolderInUseError, match=str(process.pid)), server.test_client():
        pass


def test_the_command_ends_with_3_and_names_the_process(other_process, tmp_path):
    process = other_process()
    config = f'{{"things": {{}}, "settings_folder": "{tmp_path / "settings"}"}}'
    ended = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("labthings-server")), "-j", config),
            *("--port", "0"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3
    assert f"process {process.pid}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_server_whose_folder_was_locked_meanwhile_starts_no_run(
    serve, other_process, assert_problem, tmp_path
):
    server = serve()
    shutil.rmtree(tmp_path / "settings")  # a server claims a folder that is there when it starts
    with server.test_client() as client:
        process = other_process()
        problem = assert_problem(client.post("/stage/add"), 503)
        assert str(process.pid) in problem["detail"]
        process.kill()
        process.wait(30)
        assert client.post("/stage/add").status_code == 201
