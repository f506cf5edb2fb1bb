"""`python killed_servers.py FOLDER COUNT SEED`: COUNT lives of one server, each killed by SIGKILL.

Every life is forked from this process, which has imported everything, serves on a free port with
the same settings folder, and is killed at a random moment while a client keeps it busy: a little
after a random number of answers, so that a slow computer sees as much of each life as a fast one.
Prints what the client was told, as JSON.
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

import httptools  # noqa: F401 - here and not once in each life, as the next three
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


def live(folder: Path, tell: int) -> None:
    """Serve for ever, in a process of its own; never returns."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(tell, 2)
    try:
        Press.marks = str(folder / "marks")
        server = ThingServer.from_things({"press": Press}, settings_folder=folder / "settings")
        server.serve("127.0.0.1", 0)
    except BaseException as error:  # noqa: BLE001 - the parent asks why it could not connect
        os.write(2, f"{error!r}\n".encode())
    finally:
        os._exit(1)


def port_of(hear: int) -> int:
    """Read what a life says until it names its port."""
    said = b""
    while more := os.read(hear, 4096):
        said += more
        if found := re.search(rb"Listening on http://127\.0\.0\.1:(\d+)/", said):
            return int(found[1])
    raise AssertionError(f"It serves nothing: {said.decode()}")


class Client:
    """Keeps a server busy until it is gone, and remembers what it was told."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.acknowledged: dict[str, str] = {}  # id → key
        self.finished: dict[str, dict[str, Any]] = {}
        self.unanswered: dict[str, str] = {}  # key → action, sent again to the next life
        self.different: list[str] = []  # keys whose second answer named another run
        self._keys = 0
        self._answers = 0  # in this life, which is killed soon after so many:
        self._enough = 0
        self._heard_enough: Callable[[], None] = int
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
        told = json.loads(answer.read() or b"null")
        self._answers += 1
        if self._answers == self._enough:
            self._heard_enough()
        return answer.status, told

    def invoke(self, action: str, key: str) -> str:
        self.unanswered[key] = action
        headers = {"Idempotency-Key": key, "body": json.dumps({"key": key})}
        status, told = self.ask("POST", f"/press/{action}", **headers)
        assert status == 201, (status, told)
        del self.unanswered[key]
        self.acknowledged[told["id"]] = key
        return str(told["id"])

    def look(self, id: str) -> None:
        status, told = self.ask("GET", f"/action_invocations/{id}")
        assert status == 200, (status, told)
        if told["status"] == "completed":
            self.finished[id] = told

    def keep_busy(self, enough: int, heard_enough: Callable[[], None]) -> None:
        """Go on until the server is gone, and tell when so many answers have come."""
        self._enough, self._heard_enough = enough, heard_enough
        if enough == 0:
            heard_enough()
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


def one_life(folder: Path, client: Client, dice: random.Random) -> None:
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hear)
        live(folder, tell)
    os.close(tell)

    def kill(_number: int, _frame: object) -> None:
        os.kill(child, signal.SIGKILL)

    def kill_soon() -> None:
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0001, 0.02))

    signal.signal(signal.SIGALRM, kill)
    try:
        client.connect(port_of(hear))
        # How a request ends whose server is killed is for the system to choose.
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            client.keep_busy(dice.randrange(MOST_ANSWERS), kill_soon)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(hear)


def lives(folder: Path, count: int, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a moment, not a secret
    # Making one imports all that a life needs, which would take longer than the rest of it.
    ThingServer.from_things({"press": Press}, settings_folder=folder / "unused")
    client = Client(dice)
    for _ in range(count):
        one_life(folder, client, dice)
    told = {
        "acknowledged": client.acknowledged,
        "finished": client.finished,
        "unanswered": client.unanswered,
        "different": client.different,
    }
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    lives(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
