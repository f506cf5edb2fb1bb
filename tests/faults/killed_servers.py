"""`python killed_servers.py FOLDER COUNT SEED`: COUNT lives of one server, each killed by SIGKILL.

Every life is forked from this process, which has imported everything, serves on a free port with
the same settings folder, and is killed at a random moment while a client keeps it busy. Prints what
the client was told, as JSON.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn  # noqa: F401 - here and not once in each life

import labthings_fastapi as lt
from labthings_fastapi.invocation_contexts import get_invocation_id
from labthings_fastapi.server.server import ThingServer

PATIENCE = 30.0


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


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def live(folder: Path, port: int) -> None:
    """Serve for ever, in a process of its own; never returns."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    try:
        Press.marks = str(folder / "marks")
        server = ThingServer.from_things({"press": Press}, settings_folder=folder / "settings")
        server.serve("127.0.0.1", port)
    except BaseException as error:  # noqa: BLE001 - the parent asks why it could not connect
        os.write(2, f"{error!r}\n".encode())
    finally:
        os._exit(1)


class Client:
    """Keeps a server busy until it is gone, and remembers what it was told."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.acknowledged: dict[str, str] = {}  # id → key
        self.finished: dict[str, dict[str, Any]] = {}
        self.unanswered: dict[str, str] = {}  # key → action, sent again to the next life
        self.different: list[str] = []  # keys whose second answer named another run
        self._keys = 0
        self.connection: http.client.HTTPConnection | None = None

    def connect(self, port: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            try:
                self.connection.connect()
                return
            except ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, Any]:
        assert self.connection is not None
        body = headers.pop("body", None)
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

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

    def keep_busy(self) -> None:
        """Go on until the server is gone."""
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
    port = free_port()
    child = os.fork()
    if child == 0:
        live(folder, port)

    def kill(_number: int, _frame: object) -> None:
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    try:
        client.connect(port)
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.001, 0.15))
        # How a request ends whose server is killed is for the system to choose.
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            client.keep_busy()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def lives(folder: Path, count: int, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a moment, not a secret
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
