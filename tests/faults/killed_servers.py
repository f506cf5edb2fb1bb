"""`python killed_servers.py FOLDER COUNT SEED`: COUNT starts of one server, each killed by SIGKILL.

Each server is forked from this process, which has imported everything. It uses a free port and the
same settings folder. It is killed at a random moment while a client keeps it busy: a little after
a random number of responses, so that a slow computer tests as much of each start as a fast one.
Prints what the client received, as JSON.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httptools  # noqa: F401 - here and not once in each server, as the next three
import uvicorn  # noqa: F401
import uvloop  # noqa: F401
import websockets  # noqa: F401

import labthings_fastapi as lt
from labthings_fastapi.invocation_contexts import get_invocation_id
from labthings_fastapi.server.server import ThingServer

PATIENCE = 60.0
MOST_ANSWERS = 12


class Press(lt.Thing):
    """Moves something, and leaves a mark for each time that it did."""

    marks = ""

    def mark(self, key: str) -> None:
        handle = os.open(self.marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(handle, f"{get_invocation_id()} {key}\n".encode())
        os.close(handle)

    @lt.action
    def quick(self, key: str) -> str:
        self.mark(key)
        self.logger.info("Pressed %s.", key)
        return key * 20

    @lt.action
    def slow(self, key: str) -> str:
        self.mark(key)
        lt.cancellable_sleep(600)
        return key


def run_server(folder: Path, write_end: int) -> None:
    """Serve for ever, in a process of its own; never returns."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(write_end, 2)
    try:
        Press.marks = str(folder / "marks")
        server = ThingServer.from_things({"press": Press}, settings_folder=folder / "settings")
        server.serve("127.0.0.1", 0)
    except BaseException as error:  # noqa: BLE001 - the parent reports why it could not connect
        os.write(2, f"{error!r}\n".encode())
    finally:
        os._exit(1)


def port_of(read_end: int) -> int:
    """Read the output of a server until it names its port."""
    output = b""
    while more := os.read(read_end, 4096):
        output += more
        if found := re.search(rb"Listening on http://127\.0\.0\.1:(\d+)/", output):
            return int(found[1])
    raise AssertionError(f"It serves nothing: {output.decode()}")


class Client:
    """Keeps a server busy until it has ended, and remembers its responses."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.acknowledged: dict[str, str] = {}  # id → key
        self.finished: dict[str, dict[str, Any]] = {}
        self.unanswered: dict[str, str] = {}  # key → action, sent again to the next server
        self.different: list[str] = []  # keys whose second answer named another run
        self._keys = 0
        self._answers = 0  # of this server, which is killed soon after this number:
        self._enough = 0
        self._on_enough: Callable[[], None] = int
        self.connection: http.client.HTTPConnection | None = None

    def connect(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.connection.connect()
        self._answers = 0

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, Any]:
        assert self.connection is not None
        body = headers.pop("body", None)
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        content = json.loads(answer.read() or b"null")
        self._answers += 1
        if self._answers == self._enough:
            self._on_enough()
        return answer.status, content

    def invoke(self, action: str, key: str) -> str:
        self.unanswered[key] = action
        headers = {"Idempotency-Key": key, "body": json.dumps({"key": key})}
        status, content = self.ask("POST", f"/press/{action}", **headers)
        assert status == 201, (status, content)
        del self.unanswered[key]
        self.acknowledged[content["id"]] = key
        return str(content["id"])

    def look(self, id: str) -> None:
        status, content = self.ask("GET", f"/action_invocations/{id}")
        assert status == 200, (status, content)
        if content["status"] == "completed":
            self.finished[id] = content

    def keep_busy(self, enough: int, on_enough: Callable[[], None]) -> None:
        """Go on until the server has ended; call `on_enough` after `enough` responses."""
        self._enough, self._on_enough = enough, on_enough
        if enough == 0:
            on_enough()
        for key, action in list(self.unanswered.items()):
            self.invoke(action, key)
        while True:
            self._keys += 1
            key = f"key-{self._keys}"
            action = self.dice.choice(["quick", "quick", "slow"])
            id = self.invoke(action, key)
            # The same request twice, now and then.
            if self.dice.random() < 0.3 and self.invoke(action, key) != id:
                self.different.append(key)
            self.look(self.dice.choice(list(self.acknowledged)[-20:]))


def one_start(folder: Path, client: Client, dice: random.Random) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        run_server(folder, write_end)
    os.close(write_end)

    def kill(_number: int, _frame: object) -> None:
        os.kill(child, signal.SIGKILL)

    def kill_soon() -> None:
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0001, 0.02))

    signal.signal(signal.SIGALRM, kill)
    try:
        client.connect(port_of(read_end))
        # The system decides how a request ends whose server is killed.
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            client.keep_busy(dice.randrange(MOST_ANSWERS), kill_soon)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read_end)


def run_all(folder: Path, count: int, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a moment, not a secret
    # This imports everything that a server needs, which takes longer than the rest of a start.
    ThingServer.from_things({"press": Press}, settings_folder=folder / "unused")
    client = Client(dice)
    for _ in range(count):
        one_start(folder, client, dice)
    content = {
        "acknowledged": client.acknowledged,
        "finished": client.finished,
        "unanswered": client.unanswered,
        "different": client.different,
    }
    print(json.dumps(content))  # noqa: T201


if __name__ == "__main__":
    run_all(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
