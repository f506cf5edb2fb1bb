"""A server whose driver leaves something behind that would keep the process from ending.

Usage: python stuck_at_the_end.py FOLDER KIND
"""

from __future__ import annotations

import atexit
import concurrent.futures
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

import labthings_fastapi as lt

FOLDER, KIND = Path(sys.argv[1]), sys.argv[2]
FOREVER = 600.0


def hang() -> None:
    (FOLDER / "hanging").touch()
    time.sleep(FOREVER)


def child() -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    default = handlers == [signal.SIG_DFL, signal.default_int_handler]
    (FOLDER / "child").write_text(f"{os.getpid()} {default}")
    time.sleep(FOREVER)


def fork() -> None:
    if os.fork() == 0:
        child()


def clean_up() -> None:
    (FOLDER / "cleaned").touch()


def hold_the_interpreter() -> None:
    (FOLDER / "hanging").touch()
    ctypes.PyDLL(None).sleep(600)


def with_pool(pool: concurrent.futures.Executor) -> None:
    pool.submit(time.sleep, FOREVER)


context = multiprocessing.get_context("fork") if hasattr(os, "fork") else multiprocessing
POOL = concurrent.futures.ThreadPoolExecutor(1)  # before the server, so before its threads
KINDS = {
    "nothing": lambda: None,
    "idle pool": lambda: concurrent.futures.ThreadPoolExecutor(1).submit(int).result(),
    "pool": lambda: with_pool(concurrent.futures.ThreadPoolExecutor(1)),
    "older pool": lambda: with_pool(POOL),
    "process pool": lambda: with_pool(
        concurrent.futures.ProcessPoolExecutor(1, mp_context=context)
    ),
    "thread": lambda: threading.Thread(target=hang, name="left", daemon=False).start(),
    "atexit": lambda: atexit.register(hang),
    "atexit that holds the interpreter": lambda: atexit.register(hold_the_interpreter),
    "daemon child": lambda: context.Process(target=child, daemon=True).start(),
    "child": lambda: context.Process(target=child).start(),
    "fork": fork,
}


class Driver(lt.Thing):
    """Leaves something behind."""

    @lt.action(synchronous=True)
    def leave(self) -> None:
        """Begin it."""
        KINDS[KIND]()


def main() -> None:
    """Serve until a signal comes, and exit as programs do."""
    atexit.register(clean_up)
    server = lt.ThingServer.from_things(
        {"driver": Driver}, settings_folder=FOLDER / "settings", shutdown_timeout=1.0
    )
    server.serve(port=0)
    (FOLDER / "after").touch()


if __name__ == "__main__":
    main()
