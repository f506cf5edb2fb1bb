"""The log, progress and results of an invocation are in the journal while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

import labthings_fastapi as lt
from labthings_fastapi.actions import ActionManager, Invocation, InvocationStatus, saver
from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.part import InvocationPart
from labthings_fastapi.journal.query import JournalQuery
from labthings_fastapi.journal.record import InvocationRecord

from .conftest import Bench


class WatchedJournal(MemoryJournal):
    """Notes what is put; a test may let it refuse, or leave parts unwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []
        self.changed = threading.Condition()
        self.answers: list[Future[None]] = []

    def put(self, record: InvocationRecord) -> Future[None]:
        with self.changed:
            self.told.append(record)
            self.changed.notify_all()
        return super().put(record)

    def put_part(self, part: InvocationPart) -> Future[None]:
        with self.changed:
            self.told.append(part)
            self.changed.notify_all()
            if self.answers:
                return self.answers.pop(0)
        return super().put_part(part)

    def parts(self) -> list[InvocationPart]:
        return [each for each in self.told if isinstance(each, InvocationPart)]

    def wait_for(self, enough: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(enough, 30)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saver, "SAVE_SECONDS", 0.02)
    monkeypatch.setattr(saver, "RETRY_SECONDS", 0.02)


@pytest.fixture
def journal() -> WatchedJournal:
    return WatchedJournal()


@pytest.fixture
def manager(journal: WatchedJournal) -> ActionManager:
    return ActionManager(journal=journal)


def saved(journal: WatchedJournal, run: Invocation) -> InvocationRecord:
    record = journal.get(run.id)
    assert record is not None
    return record


def messages(record: InvocationRecord) -> list[str]:
    return [line["message"] for line in record.log]


def test_what_a_run_logs_and_reports_is_saved_while_it_goes_on(
    thing: Bench, begin: Callable[..., Invocation], journal: WatchedJournal
) -> None:
    def code() -> None:
        thing.logger.info("one")
        lt.progress(1, 4)
        journal.wait_for(lambda: bool(journal.parts()))
        thing.logger.info("two")
        thing.gate.wait(30)

    run = begin(code)
    journal.wait_for(lambda: len(saved(journal, run).log) == 2)
    record = saved(journal, run)
    assert record.is_open
    assert messages(record) == ["one", "two"]
    assert record.progress is not None
    assert record.progress["done"] == 1
    told = [line["message"] for part in journal.parts() if part.log for line in part.log.items]
    assert told == ["one", "two"], "each line is written once"
    thing.gate.set()
    run.join(30)
    assert saved(journal, run).status is InvocationStatus.COMPLETED


def test_results_of_a_generator_are_saved_while_it_goes_on(
    journal: WatchedJournal, manager: ActionManager
) -> None:
    class Scanner(lt.Thing):
        gate = threading.Event()

        @lt.action
        def scan(self) -> Iterator[int]:
            yield 1
            yield 2
            self.gate.wait(30)

    scanner = Scanner()
    run = manager.invoke_action(Scanner.scan, scanner)
    journal.wait_for(lambda: saved(journal, run).output == b"[1,2]")
    assert saved(journal, run).partial
    scanner.gate.set()
    run.join(30)
    assert not saved(journal, run).partial


def test_nothing_new_is_not_put_again(
    thing: Bench, begin: Callable[..., Invocation], journal: WatchedJournal, manager: ActionManager
) -> None:
    run = begin(lambda: (thing.logger.info("one"), thing.gate.wait(30)))
    journal.wait_for(lambda: messages(saved(journal, run)) == ["one"])
    live = run._live
    assert live is not None
    manager._publisher.saver.add(live)
    manager.save_open()
    assert len(journal.parts()) == 1


def test_a_run_that_tells_nothing_has_no_parts(
    run: Callable[..., Invocation], journal: WatchedJournal
) -> None:
    run(lambda: None)
    assert journal.parts() == []


def test_nothing_is_put_after_the_end(
    thing: Bench, run: Callable[..., Invocation], journal: WatchedJournal
) -> None:
    def code() -> None:
        before = len(journal.parts())
        thing.logger.info("x")
        journal.wait_for(lambda: len(journal.parts()) > before)
        thing.logger.info("y")

    first, second = run(code), run(code)  # by then, the first would have been saved once more
    for invocation in (first, second):
        kinds = [type(each) for each in journal.told if each.id == invocation.id]
        assert kinds.count(InvocationPart) == 1
        assert kinds[-1] is InvocationRecord


def test_while_a_part_is_being_written_no_other_is_put(
    thing: Bench, begin: Callable[..., Invocation], journal: WatchedJournal
) -> None:
    slow: Future[None] = Future()
    journal.answers.append(slow)
    ticks = threading.Semaphore(0)

    def code() -> None:
        thing.logger.info("one")
        journal.wait_for(lambda: bool(journal.parts()))
        for number in range(3):
            thing.logger.info("more %d", number)
        ticks.release()
        thing.gate.wait(30)

    begin(code)
    assert ticks.acquire(timeout=30)
    assert len(journal.parts()) == 1
    slow.set_result(None)
    journal.wait_for(lambda: len(journal.parts()) == 2)
    addition = journal.parts()[1].log
    assert addition is not None
    assert [line["message"] for line in addition.items] == ["more 0", "more 1", "more 2"]


def test_what_the_journal_refused_is_put_again(
    thing: Bench, begin: Callable[..., Invocation], journal: WatchedJournal
) -> None:
    refused: Future[None] = Future()
    refused.set_exception(OSError(28, "No space left on device"))
    journal.answers.append(refused)

    def code() -> None:
        thing.logger.info("one")
        thing.gate.wait(30)

    run = begin(code)
    journal.wait_for(lambda: len(journal.parts()) == 2)
    journal.wait_for(lambda: messages(saved(journal, run)) == ["one"])


def test_what_is_not_saved_yet_can_be_saved_now(
    thing: Bench,
    begin: Callable[..., Invocation],
    journal: WatchedJournal,
    manager: ActionManager,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saver, "SAVE_SECONDS", 3600.0)

    def code() -> None:
        thing.logger.info("stuck")
        thing.entered.set()
        thing.gate.wait(30)

    run = begin(code)
    assert thing.entered.wait(30)
    assert messages(saved(journal, run)) == []
    manager.save_open()
    assert messages(saved(journal, run)) == ["stuck"]


# --- which Things take part -----------------------------------------------------------------


class Laser(lt.Thing):
    """Another Thing; it looks into the journal when its code runs."""

    journal: WatchedJournal

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[InvocationRecord] = []

    @lt.action
    def on(self) -> None:
        self.seen += self.journal.search(JournalQuery()).records

    @lt.property
    def power(self) -> float:
        """The power, in mW."""
        return 1.0

    @power.setter
    def power(self, value: float) -> None:
        self.on()

    @power.resetter
    def _reset_power(self) -> None:
        self.on()

    enabled: bool = lt.property(default=False)

    def safe_state(self) -> None:
        """Be off."""


def test_a_thing_is_in_the_journal_before_its_code_runs(
    thing: Bench, run: Callable[..., Invocation], journal: WatchedJournal
) -> None:
    laser = Laser()
    laser.journal = journal
    invocation = run(lambda: (laser.on(), laser.on()))
    own, other = thing.name, laser.name
    assert [record.things for record in laser.seen] == [(own, other)] * 2
    assert saved(journal, invocation).things == (own, other)
    assert [part.things for part in journal.parts() if part.things] == [(other,)]


@pytest.mark.parametrize(
    "change",
    [
        lambda laser: setattr(laser, "power", 3.0),
        lambda laser: laser.properties["power"].reset(),
        lambda laser: setattr(laser, "enabled", True),
        lambda laser: laser.properties["enabled"].reset(),
    ],
    ids=["set", "reset", "set a value", "reset a value"],
)
def test_a_run_that_sets_a_property_of_a_thing_uses_it(
    run: Callable[..., Invocation], journal: WatchedJournal, change: Callable[[Laser], None]
) -> None:
    laser, safe = Laser(), []
    laser.journal = journal
    laser.__dict__["safe_state"] = lambda: safe.append(laser)

    def code() -> None:
        change(laser)
        assert laser.power
        raise RuntimeError("it fails")

    invocation = run(code)
    assert laser.name in saved(journal, invocation).things
    assert all(laser.name in record.things for record in laser.seen)
    assert safe == [laser]


def test_a_run_that_only_reads_a_property_does_not_use_the_thing(
    run: Callable[..., Invocation], journal: WatchedJournal
) -> None:
    laser = Laser()
    invocation = run(lambda: (laser.power, laser.enabled))
    assert laser.name not in saved(journal, invocation).things


def test_a_run_waits_until_the_journal_has_the_thing(
    run: Callable[..., Invocation], journal: WatchedJournal
) -> None:
    laser, slow = Laser(), Future[None]()
    laser.journal = journal
    journal.answers.append(slow)

    def code() -> None:
        written = threading.Thread(target=journal.wait_for, args=(lambda: bool(journal.parts()),))
        written.start()
        threading.Thread(target=lambda: (written.join(), slow.set_result(None))).start()
        laser.on()
        assert slow.done()

    assert run(code).status is InvocationStatus.COMPLETED
