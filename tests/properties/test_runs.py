"""The life of runs against a model: invoke, cancel, finish, fail, expire, crash, restart."""

from __future__ import annotations

import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

import labthings_fastapi as lt
from labthings_fastapi.actions import ActionManager, InvocationStatus
from labthings_fastapi.exceptions import ActionBusyError, InvocationNotFoundError
from labthings_fastapi.journal.sqlite import SqliteJournal

PENDING, RUNNING, COMPLETED, CANCELLED, ERROR = (
    InvocationStatus.PENDING,
    InvocationStatus.RUNNING,
    InvocationStatus.COMPLETED,
    InvocationStatus.CANCELLED,
    InvocationStatus.ERROR,
)
FINAL = {COMPLETED, CANCELLED, ERROR}
RETENTION = 100.0


class Machine(lt.Thing):
    """Runs until an order ends it; counts how often each run has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, Any] = {}
        self.begun: dict[str, threading.Semaphore] = {}
        self.starts: dict[str, int] = {}

    def _obey(self, name: str) -> str:
        self.starts[name] = self.starts.get(name, 0) + 1
        self.begun[name].release()
        while not self.orders[name].acquire(timeout=0.002):
            lt.raise_if_cancelled()
        if self.orders[name].fails:
            raise ValueError(name)
        return name

    @lt.action(retention_time=RETENTION)
    def parallel(self, name: str) -> str:
        """Run beside others."""
        return self._obey(name)

    @lt.action(retention_time=RETENTION, concurrency="queue", group="one")
    def queue(self, name: str) -> str:
        """Wait for one's turn."""
        return self._obey(name)

    @lt.action(retention_time=RETENTION, concurrency="reject", group="one")
    def reject(self, name: str) -> str:
        """Run at once or not at all."""
        return self._obey(name)


class Order(threading.Semaphore().__class__):
    """A word to one run: end, well or badly."""

    fails = False


class Lives(RuleBasedStateMachine):
    """Keeps a model of every run that was ever requested."""

    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.offset = 0.0
        self.status: dict[str, InvocationStatus] = {}
        self.ids: dict[str, uuid.UUID] = {}
        self.line: list[str] = []  # who holds the place of the group, and who waits for it
        self.live: set[str] = set()
        self.begin_life()

    def begin_life(self) -> None:
        """Start as a server does, on the journal of the life before."""
        self.machine = Machine()
        self.journal = SqliteJournal(
            Path(self.folder.name) / "journal.sqlite", boot_id=uuid.uuid4().hex
        )
        self.journal.interrupt_open_invocations()
        self.manager = ActionManager(journal=self.journal, clock=self.now)

    def now(self) -> float:
        return time.monotonic() + self.offset

    def teardown(self) -> None:
        for name in self.status:
            if name in self.live:
                self.machine.orders[name].release()
        self.journal.close(30)
        self.folder.cleanup()

    def settle(self, name: str) -> None:
        """Wait until the end of a run is shown and the next in line has begun."""
        run = self.manager.get_invocation(self.ids[name])
        shown = threading.Event()
        run.on_end(shown.set)
        assert shown.wait(30)
        if run.ident is not None:
            run.join(30)

    def leave_line(self, name: str) -> None:
        if name not in self.line:
            return
        was_first = self.line[0] == name
        self.line.remove(name)
        if was_first and self.line:
            following = self.line[0]
            assert self.machine.begun[following].acquire(timeout=30)
            self.status[following] = RUNNING

    @rule(target=runs, kind=st.sampled_from(["parallel", "queue", "reject"]))
    def invoke(self, kind: str) -> str:
        name = f"run-{len(self.status)}"
        self.machine.orders[name] = Order(0)
        self.machine.begun[name] = threading.Semaphore(0)
        action: Any = getattr(Machine, kind)
        id = uuid.uuid4()
        self.ids[name] = id
        self.live.add(name)
        given = action.input_model(name=name)
        if kind == "reject" and self.line:
            with pytest.raises(ActionBusyError):
                self.manager.invoke_action(action, self.machine, id=id, input=given)
            self.settle(name)
            self.status[name] = ERROR
            return name
        self.manager.invoke_action(action, self.machine, id=id, input=given)
        waits = kind == "queue" and bool(self.line)
        if kind != "parallel":
            self.line.append(name)
        self.status[name] = PENDING if waits else RUNNING
        if not waits:
            assert self.machine.begun[name].acquire(timeout=30)
        return name

    @rule(name=runs, fails=st.booleans())
    def end(self, name: str, fails: bool) -> None:
        if name not in self.live or self.status[name] is not RUNNING:
            return
        self.machine.orders[name].fails = fails
        self.machine.orders[name].release()
        self.settle(name)
        self.status[name] = ERROR if fails else COMPLETED
        self.leave_line(name)

    @rule(name=runs)
    def cancel(self, name: str) -> None:
        if name not in self.live:
            return
        accepted = self.manager.get_invocation(self.ids[name]).cancel()
        assert accepted == (self.status[name] not in FINAL)
        if not accepted:
            return
        self.settle(name)
        self.status[name] = CANCELLED
        self.leave_line(name)

    @rule()
    def expire(self) -> None:
        self.offset += 2 * RETENTION
        self.manager.expire_invocations()
        for name in [each for each in self.live if self.status[each] in FINAL]:
            self.live.discard(name)

    @rule()
    def crash(self) -> None:
        """Go on in a new life; the old one's threads are left to themselves, as by a kill."""
        self.journal.close(30)  # from now on the old life cannot write
        abandoned = (self.machine, self.live)
        for name in self.live:
            if self.status[name] not in FINAL:
                self.status[name] = ERROR
        self.line, self.live = [], set()
        self.begin_life()
        for name in abandoned[1]:
            abandoned[0].orders[name].release()

    @rule(name=consumes(runs))
    def forget(self, name: str) -> None:
        """Let the machine look at younger runs."""

    @invariant()
    def live_runs_are_as_the_model_says(self) -> None:
        for name in self.live:
            run = self.manager.get_invocation(self.ids[name])
            assert run.snapshot().status is self.status[name]
            assert run.is_alive() == (self.status[name] not in FINAL)

    @invariant()
    def the_others_are_gone_from_memory(self) -> None:
        for name in self.ids.keys() - self.live:
            with pytest.raises(InvocationNotFoundError):
                self.manager.get_invocation(self.ids[name])

    @invariant()
    def the_journal_has_every_run_whole(self) -> None:
        for name, id in self.ids.items():
            if self.status[name] in FINAL:
                record = self.journal.get(id)
                assert record is not None
                assert record.status is self.status[name]
                assert (record.output is not None) == (self.status[name] is COMPLETED)
                assert (record.error is None) == (self.status[name] is COMPLETED)

    @invariant()
    def no_run_begins_twice(self) -> None:
        assert all(count == 1 for count in self.machine.starts.values())


Lives.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLives = Lives.TestCase
