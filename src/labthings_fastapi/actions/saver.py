"""Saves what invocations in progress have logged, reported and yielded, before a crash loses it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from labthings_fastapi.journal.part import Addition, InvocationPart
from labthings_fastapi.journal.record import InvocationRecord

from .deadlines import deadlines
from .invocation_log import InvocationLog, members_of
from .progress import Progress
from .results import InvocationResults

SAVE_SECONDS = 0.75  # and the time to write it: what is a second old is saved
RETRY_SECONDS = 10.0  # after the journal refused a part: a full disk stays full for a while


class Saved(NamedTuple):
    """How much the journal has of an invocation in progress."""

    lines: int = 0
    results: int = 0
    progress: Progress | None = None


class Unsaved(Protocol):
    """An invocation in progress: a `LiveInvocation`."""

    record: InvocationRecord
    lock: threading.RLock
    saved: Saved
    has_unsaved: bool
    """Whether the saver knows it already; set when something is told."""
    saving: Future[None] | None

    def parts(self) -> tuple[InvocationLog | None, InvocationResults | None, Any]: ...
    def latest_progress(self) -> Progress | None: ...


class InvocationSaver:
    """Puts parts of invocations in the journal, once in `SAVE_SECONDS` each.

    Any thread may add. One that ends meanwhile is left out: its final record has everything.
    """

    def __init__(self, put: Callable[[InvocationPart], Future[None]]) -> None:
        """Save with `put`, which never blocks."""
        self._put = put
        self._lock = threading.Lock()  # guards the two below; the innermost of all locks
        self._waiting: list[Unsaved] = []
        self._armed = False

    def add(self, live: Unsaved) -> None:
        """Save what is new in this invocation, soon; called once until it is saved."""
        with self._lock:
            self._waiting.append(live)
            armed, self._armed = self._armed, True
        if not armed:
            deadlines().add(time.monotonic() + SAVE_SECONDS, self.save)

    def save(self) -> None:
        """Save what waits, in one go: the journal writes it in one transaction."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._armed = False
        for live in waiting:
            if live.saving is None:
                self._save(live)
            elif live.record.is_open:
                self.add(live)  # the disk is slow: what is new waits for the next time

    def _save(self, live: Unsaved) -> None:
        live.has_unsaved = False  # before it is read: what comes meanwhile is saved next
        part, saved = _new_part(live)
        if saved == live.saved:
            return
        with live.lock:
            # The final record must be the last one.
            if live.record.is_open:
                live.saving = future = self._put(part)
            else:
                return
        future.add_done_callback(lambda done: self._done(live, saved, done))

    def _done(self, live: Unsaved, saved: Saved, future: Future[None]) -> None:
        live.saving = None
        if future.cancelled() or future.exception() is not None:
            deadlines().add(time.monotonic() + RETRY_SECONDS, lambda: self._again(live))
        else:
            live.saved = saved

    def _again(self, live: Unsaved) -> None:
        if live.record.is_open:
            self.add(live)


def _new_part(live: Unsaved) -> tuple[InvocationPart, Saved]:
    log, results, _ = live.parts()
    part, saved = InvocationPart(live.record.id), live.saved
    if log is not None:
        lines, total = log.since(saved.lines)
        part = part._replace(log=Addition(tuple(map(members_of, lines)), total, log.length))
        saved = saved._replace(lines=total)
    if results is not None:
        values, total = results.since(saved.results)
        part = part._replace(results=Addition(tuple(values), total, results.length))
        saved = saved._replace(results=total)
    latest = live.latest_progress()
    if latest is not None and latest is not saved.progress:
        part = part._replace(progress=latest.detail())
        saved = saved._replace(progress=latest)
    return part, saved
