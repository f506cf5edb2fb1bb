"""The end of the process comes in time, whatever the program and its drivers have left behind."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_host.operating_system import kill_this_process_after

LOGGER = own_logger("server")
EXIT_SECONDS = 1.0
"""Seconds that threads and `atexit` functions have at least, also after a slow stop."""
SPEAKING_SECONDS = 0.3  # for the last lines of the log, whose handlers may be stuck
ALARM_SECONDS = 1.0  # then the system ends the process, if Python cannot do it
LOOK_SECONDS = 0.05


def end_process_by(deadline: float, code: int = 0) -> None:
    """End the process at the `deadline` (`time.monotonic`), if it is exiting then and cannot.

    It waits for threads that are not daemons, for pools of threads or processes, for child
    processes of `multiprocessing`, and for `atexit` functions; any of them may be stuck. A program
    that goes on after `serve()` is left alone until its main thread exits.
    """
    # It runs before the functions that are registered already. One of them may be code, such as the
    # clean-up of a C library, that lets none of Python's threads run.
    atexit.register(_arm, deadline)
    speak, spoken = threading.Event(), threading.Event()
    # Both are started now: an interpreter that is exiting starts no threads.
    for target, arguments in (
        (_say_what_is_stuck, (speak, spoken)),
        (_watch, (deadline, code, speak, spoken)),
    ):
        threading.Thread(target=target, args=arguments, name="labthings-exit", daemon=True).start()


def _watch(deadline: float, code: int, speak: threading.Event, spoken: threading.Event) -> None:
    while not _is_exiting():
        time.sleep(LOOK_SECONDS)
    time.sleep(_arm(deadline))
    speak.set()
    spoken.wait(SPEAKING_SECONDS)
    os._exit(code)


def _arm(deadline: float) -> float:
    """Set the alarm of the system; return how long (s) the program may take to exit."""
    seconds = max(deadline - time.monotonic(), EXIT_SECONDS)
    kill_this_process_after(seconds + SPEAKING_SECONDS + ALARM_SECONDS)
    return seconds


def _is_exiting() -> bool:
    """Return whether the main thread has left the program, and the interpreter waits for others."""
    main = threading.main_thread()
    if not main.is_alive():
        return True
    # Before it is marked as ended, it waits for pools, in code of `threading` that nobody called.
    frame = sys._current_frames().get(main.ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame is not None and frame.f_globals is vars(threading)


def _say_what_is_stuck(speak: threading.Event, spoken: threading.Event) -> None:
    speak.wait()
    stuck = [thread.name for thread in _other_threads()]
    for name in stuck:
        LOGGER.warning("Thread %r does not end. The process ends without it.", name)
    if not stuck:
        LOGGER.warning(
            "The program does not exit in time: it waits for an atexit function, a pool of threads "
            "or a child process. The process ends all the same."
        )
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    spoken.set()


def _other_threads() -> Iterator[threading.Thread]:
    """Return the threads that keep the process alive, without the main thread."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            yield thread
