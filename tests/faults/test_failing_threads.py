"""Threads that cannot be started, log handlers that raise: a request is answered all the same."""

from __future__ import annotations

import shutil
import threading

import pytest

import labthings_fastapi as lt


class Press(lt.Thing):
    """A press that counts how often it moved."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.moves = 0

    @lt.action
    def move(self) -> int:
        self.moves += 1
        return self.moves


def without(name, monkeypatch):
    """Let no thread of this name start: a real limit would hold for the whole program."""
    start = threading.Thread.start

    def limited(thread):
        if thread.name == name:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k1"}])
def test_without_a_thread_for_the_journal_nothing_moves_and_the_client_gets_an_error(
    thing_server, monkeypatch, headers
):
    running = thing_server({"press": Press})
    client, press = running.client, running.server.things["press"]
    with monkeypatch.context() as patch:
        without("journal", patch)
        refused = client.post("/press/move", headers=headers)
    assert (refused.status_code, press.moves) == (503, 0)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "1"
    assert "can't start new thread" in refused.json()["detail"]
    again = client.post("/press/move", headers={**headers, "Prefer": "wait=30"})
    assert (again.json()["status"], press.moves) == ("completed", 1)


def test_where_log_handlers_raise_a_run_that_cannot_be_recorded_is_refused(
    thing_server, tmp_path, let_logging_fail
):
    let_logging_fail("labthings_fastapi.journal", OSError("the network has gone"))
    blocked = tmp_path / "blocked"
    running = thing_server({"press": Press}, journal={"path": blocked / "journal.sqlite"})
    if blocked.exists():
        shutil.rmtree(blocked)
    blocked.write_text("a file where the folder of the journal should be")
    refused = running.client.post("/press/move")
    assert refused.status_code == 507
    assert refused.headers["content-type"] == "application/problem+json"
    assert running.server.things["press"].moves == 0
    blocked.unlink()
    again = running.client.post("/press/move", headers={"Prefer": "wait=30"})
    assert again.json()["status"] == "completed"
