"""What a server shows in its log: clients and user code cannot forge an entry, or hide one."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

FORGED = "2026-05-01 12:00:00,000 INFO    labthings_fastapi.server: all is well"
PROGRAM = """
import sys
import labthings_fastapi as lt


class Stage(lt.Thing):
    @lt.property
    def place(self) -> str:
        return "here"

    @place.setter
    def place(self, value: str) -> None:
        raise OSError(value)

    @lt.action
    def say(self, text: str) -> None:
        self.logger.warning("said %s", text)

    @lt.action
    def fail(self, text: str) -> None:
        raise RuntimeError(text)


lt.ThingServer.from_things({"stage": Stage}).serve(port=0)
"""


@pytest.mark.parametrize("debug", [False, True])
def test_a_client_cannot_forge_an_entry_and_queries_of_sockets_are_not_shown(
    running_server: Any, tmp_path: Path, debug: bool
) -> None:
    program = PROGRAM
    if debug:
        program = "import logging\nfrom labthings_fastapi.own_log import log_to_stderr\n" + (
            "log_to_stderr(logging.DEBUG)\n" + program
        )
    server = running_server.process(cwd=tmp_path, command=(sys.executable, "-c", program))
    bad = f"x\r\n{FORGED}\x1b[2J\u2028{FORGED}\u202e"
    for path, body in (("say", {"text": bad}), ("fail", {"text": bad})):
        answered = post(server.port, f"/stage/{path}", json.dumps(body), {"Prefer": "wait=30"})
        assert answered < 400
    assert post(server.port, "/stage/place", json.dumps(bad), {}, "PUT") == 500
    assert post(server.port, "/stage/%0A2026%1B[2J/none", "{}", {}) == 404
    assert post(server.port, "/stage/say", "{}", {"Origin": "http://a\x1b[2J"}) >= 400
    assert post(server.port, "/stage/say", "{}", {"Host": "a\x85\x9b2Jb"}) >= 400
    with connect(f"ws://127.0.0.1:{server.port}/stage/ws?token=secret-query"):
        pass
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{server.port}/none/ws?token=secret-query")
    assert server.stop() == 0
    shown = server.output()
    assert "all is well" in shown, "nothing is hidden"
    assert ("WebSocket" in shown) is debug
    assert "secret-query" not in shown
    for line in shown.split("\n"):
        assert not line.startswith(FORGED), line
        assert line.isprintable() or "\t" in line, line


def post(port: int, path: str, body: str, headers: dict[str, str], method: str = "POST") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        usual = {"Content-Type": "application/json"}
        connection.request(method, path, body, {**usual, **headers})
        return connection.getresponse().status
    finally:
        connection.close()
