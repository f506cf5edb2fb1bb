"""The journal of a server: over HTTP, after restarts, and with a second server."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import FolderInUseError, ServerConfigurationError
from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.record import OUTPUT_LIMIT


class Note(lt.blob.Blob):
    media_type = "text/plain"


class Stage(lt.Thing):
    note: str = lt.setting(default="")
    stuck = threading.Event()

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

    @lt.action(retention_time=0)
    def forgotten(self) -> int:
        return 1


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
        assert list(tmp_path.iterdir()) == []
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


@pytest.mark.parametrize(
    ("action", "input", "media_type"),
    [("write", {"size": OUTPUT_LIMIT}, "application/json"), ("picture", None, "text/plain")],
)
def test_a_large_or_binary_output_is_a_reference(
    serve, ended, assert_problem, action, input, media_type
):
    with serve().test_client() as client:
        run = ended(client, client.post(f"/stage/{action}", json=input).json()["href"])
    with serve().test_client() as client:
        own = f"/action_invocations/{run['id']}"
        now = client.get(own).json()
        assert (now["status"], now["output"]) == ("completed", None)
        assert now["outputReference"]["media_type"] == media_type
        assert media_type in assert_problem(client.get(f"{own}/output"), 409)["detail"]


def test_an_expired_run_is_gone_but_in_the_journal(serve, assert_problem):
    server = serve()
    with server.test_client() as client:
        run = client.post("/stage/forgotten", headers={"Prefer": "wait=30"}).json()
        server.action_manager.expire_invocations()
        assert_problem(client.get(run["href"]), 404)
        assert_problem(client.get(f"/action_invocations/{run['id']}"), 404)
        assert client.get(f"/journal/{run['id']}").json()["output"] == 1


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
    assert list(tmp_path.iterdir()) == []


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
    serve, other_process, assert_problem
):
    with serve().test_client() as client:
        process = other_process()
        problem = assert_problem(client.post("/stage/add"), 503)
        assert str(process.pid) in problem["detail"]
        process.kill()
        process.wait(30)
        assert client.post("/stage/add").status_code == 201
