"""How long blobs and files of runs are kept: as their records, within a quota, or for ever."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

import labthings_fastapi as lt
from labthings_fastapi.invocation_contexts import get_invocation_directory
from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.outputs.kept import KeptOutputs

WAIT = {"Prefer": "wait=30"}


class Camera(lt.Thing):
    """Leaves blobs and files."""

    @lt.action
    def capture(self, size: int) -> lt.blob.Blob:
        return lt.blob.Blob.from_bytes(b"x" * size)

    @lt.action
    def write(self, size: int) -> None:
        (get_invocation_directory() / "scan.raw").write_bytes(b"x" * size)


def make_server(folder: Path, **config: Any) -> lt.ThingServer:
    return lt.ThingServer.from_things({"camera": Camera}, settings_folder=folder, **config)


def run(client: TestClient, action: str, size: int) -> Any:
    state = client.post(f"/camera/{action}", json={"size": size}, headers=WAIT).json()
    assert state["status"] == "completed", state
    return state


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def bytes_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def forget(server: lt.ThingServer) -> None:
    """Drop what is in memory, as after the retention time."""
    manager = server.action_manager
    manager._clock = lambda: time.monotonic() + 1000
    manager.expire_invocations()
    gc.collect()


def sweep_later(folder: Path, days: float) -> None:
    journal = SqliteJournal(
        folder / "journal.sqlite",
        boot_id="later",
        clock=lambda: datetime.now(UTC) + timedelta(days=days),
    )
    journal.sweep().result(60)
    journal.close(60)


def test_a_pinned_run_is_kept_beyond_its_age_and_others_are_gone_from_disk(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    with server.test_client() as client:
        runs = [run(client, "capture", 1000) for _ in range(2)]
        files = run(client, "write", 1000)
        for each in (runs[0], files):
            answer = client.post(f"/action_invocations/{each['id']}/pin")
            assert (answer.status_code, answer.content) == (204, b"")
        assert client.get(f"/action_invocations/{runs[0]['id']}").json()["pinned"] is True
        forget(server)
    sweep_later(tmp_path, 400)
    server = make_server(tmp_path)
    with server.test_client() as client:
        record = client.get(f"/action_invocations/{runs[0]['id']}").json()
        assert (record["pinned"], record["output"]) == (True, runs[0]["output"])
        assert client.get(runs[0]["output"]["href"]).content == b"x" * 1000
        assert client.get(f"/action_invocations/{files['id']}/files/scan.raw").status_code == 200
        assert client.get(runs[1]["output"]["href"]).status_code == 404
        assert not (tmp_path / "journal.outputs" / runs[1]["id"].replace("-", "")).exists()
        assert client.delete(f"/action_invocations/{runs[0]['id']}/pin").status_code == 204
        assert "pinned" not in client.get(f"/action_invocations/{runs[0]['id']}").json()
        forget(server)
    sweep_later(tmp_path, 400)
    assert not (tmp_path / "journal.outputs" / runs[0]["id"].replace("-", "")).exists()
    assert (tmp_path / "journal.outputs" / files["id"].replace("-", "")).exists()


def test_a_run_may_be_pinned_while_it_goes_on_and_an_unknown_one_is_404(tmp_path: Path) -> None:
    with make_server(tmp_path).test_client() as client:
        id = client.post("/camera/capture", json={"size": 10}).json()["id"]
        assert client.post(f"/action_invocations/{id}/pin").status_code == 204
        client.get(f"/action_invocations/{id}", headers=WAIT)
        assert client.get(f"/action_invocations/{id}").json()["pinned"] is True
        assert client.get(f"/journal/{id}").json()["pinned"] is True
        for method in ("POST", "DELETE"):
            answer = client.request(method, f"/action_invocations/{uuid4()}/pin")
            assert answer.status_code == 404


def test_the_quota_takes_the_oldest_that_are_not_pinned(tmp_path: Path) -> None:
    server = make_server(tmp_path, max_output_bytes=10_000)
    with server.test_client() as client:
        first = run(client, "capture", 3000)
        client.post(f"/action_invocations/{first['id']}/pin")
        second, third = run(client, "write", 3000), run(client, "capture", 3000)
        forget(server)
        newest = run(client, "capture", 3000)
        record = f"/journal/{second['id']}"
        wait_until(lambda: client.get(record).json()["outputsDropped"])
        assert "max_output_bytes" in client.get(record).json()["log"][-1]["message"]
        own = f"/action_invocations/{second['id']}"
        assert client.get(own).json()["outputsDropped"] >= 3000
        assert client.get(f"{own}/files").json() == []
        for each in (first, third, newest):
            assert client.get(each["output"]["href"]).status_code == 200
        outputs = tmp_path / "journal.outputs"
        wait_until(lambda: not list(outputs.glob(".deleted-*")))
        assert bytes_on_disk(outputs) < 10_500  # and the small files of the index


def test_what_is_there_counts_after_a_restart(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    with server.test_client() as client:
        runs = [run(client, "capture", 3000) for _ in range(3)]
        forget(server)
    with make_server(tmp_path, max_output_bytes=7000).test_client() as client:
        wait_until(lambda: client.get(f"/journal/{runs[0]['id']}").json()["outputsDropped"])
        found = [client.get(each["output"]["href"]).status_code for each in runs]
        assert found == [404, 200, 200]


def test_what_a_killed_server_left_half_done_goes_at_the_start(tmp_path: Path) -> None:
    with make_server(tmp_path).test_client() as client:
        state = run(client, "capture", 10)
    outputs = tmp_path / "journal.outputs"
    own = outputs / state["id"].replace("-", "")
    remains = [own / "blobs" / "abc.part", own / "output.1.part", outputs / ".deleted-abc" / "x"]
    for path in remains:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
        os.utime(path, (time.time() - 100, time.time() - 100))
    with make_server(tmp_path).test_client() as client:
        wait_until(lambda: not any(path.exists() for path in remains))
        assert client.get(state["output"]["href"]).status_code == 200


@pytest.mark.skipif(os.name != "posix", reason="Elsewhere nobody can ask whether a process exists.")
def test_temporary_outputs_of_a_killed_process_go_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, signal, uuid; from labthings_fastapi.outputs.kept import KeptOutputs;"
        "kept = KeptOutputs(); kept.files_folder(uuid.uuid4());"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living = KeptOutputs()
    living.files_folder(uuid4())
    assert [path.name.split("-")[2] for path in tmp_path.iterdir()] == [str(os.getpid())]
    KeptOutputs().files_folder(uuid4())
    assert living._folder is not None
    assert living._folder.exists()


def test_without_a_journal_a_pinned_run_stays_in_memory(tmp_path: Path) -> None:
    from fastapi import FastAPI

    from labthings_fastapi.actions.manager import ActionManager

    app, manager = FastAPI(), ActionManager(clock=lambda: now[0])
    now = [0.0]
    manager.attach_to_app(app)
    thing = Camera()
    invocation = manager.invoke_action(
        Camera.capture, thing, input=Camera.capture.input_model(size=5)
    )
    assert invocation.wait(30)
    path = f"/action_invocations/{invocation.id}"
    client = TestClient(app)
    assert client.post(f"{path}/pin").status_code == 204
    now[0] += 1000
    manager.expire_invocations()
    assert client.get(path).json()["pinned"] is True
    assert client.delete(f"{path}/pin").status_code == 204
    now[0] += 1000
    manager.expire_invocations()
    assert client.get(path).status_code == 404
