"""The log of a run loses no line, keeps nothing of a user's, and holds nobody up."""

from __future__ import annotations

import gc
import logging
import pickle
import sys
import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from labthings_fastapi.actions.log_lines import line_of

from labthings_fastapi.actions import invocation_log
from labthings_fastapi.actions.invocation_log import InvocationLog
from labthings_fastapi.actions.logs import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable

USUAL: dict[str, Any] = {KEPT: True}
"""What the handler adds: with it, and nothing else, a record takes the short way."""
UNUSUAL: dict[str, Any] = {KEPT: True, "sample": "A1"}


def record(msg: Any = "text", *args: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("lab", logging.INFO, "/lab/stage.py", 7, msg, args or None, None)
    made.__dict__.update(more or USUAL)
    return made


def texts(log: InvocationLog) -> list[str]:
    return [kept.getMessage() for kept in log.records]


# --- packing ------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [USUAL, UNUSUAL])
def test_a_packed_log_rebuilds_equal_records(more: dict[str, Any]) -> None:
    log = InvocationLog(3)
    given = [record("line %d", number, **more) for number in range(5)]
    for each in given:
        log.keep(each)
    before = log.records
    log.pack()
    after = log.records
    assert [vars(one) for one in after] == [vars(one) for one in before]
    assert [vars(one) for one in after] == [
        {**vars(one), "msg": one.getMessage(), "args": None} for one in given[2:]
    ]
    assert log.dropped == 2
    log.keep(record("late"))
    assert texts(log) == ["line 3", "line 4", "late"]
    assert log.dropped == 3
    log.pack()
    assert texts(log) == ["line 3", "line 4", "late"]
    assert log.dropped == 3


def test_the_count_of_dropped_lines_may_be_asked_for_at_any_time() -> None:
    log = InvocationLog(2)
    assert log.dropped == 0
    for number in range(5):
        log.keep(record("%d", number))
        assert log.dropped == max(number - 1, 0)
    log.pack()
    assert log.dropped == 3


@pytest.mark.parametrize("length", [100_000, 10, 0])
def test_lines_that_come_while_the_log_is_packed_are_all_kept_once_and_in_order(
    length: int,
) -> None:
    """Threads that have outlived their run go on to log, in the very moment of its end."""
    log, writing = InvocationLog(length), threading.Event()

    def chat(name: str) -> None:
        for number in range(1000):
            log.keep(record("%s %d", name, number))
            writing.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=chat, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        assert writing.wait(30)
        while any(thread.is_alive() for thread in threads):
            log.pack()
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(interval)
    assert log.dropped == max(2000 - length, 0)
    kept = texts(log)
    assert len(kept) == min(2000, length)
    for name in "ab":
        lines = [text for text in kept if text[0] == name]
        first = 1000 - len(lines)
        assert lines == [f"{name} {number}" for number in range(first, 1000)]


def test_a_thread_that_goes_on_while_its_late_line_is_taken_over_stays_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, drains = InvocationLog(), 0
    writers: list[threading.Thread] = []
    log.keep(record("packed"))
    dumps, drained = pickle.dumps, invocation_log._drained

    def write(text: str, patience: float) -> None:
        """Log in another thread, which has to wait where the log is taken."""
        writers.append(threading.Thread(target=log.keep, args=(record(text),)))
        writers[-1].start()
        writers[-1].join(patience)

    def dumps_while_somebody_logs(*args: Any) -> Any:
        write("late", 30)
        return dumps(*args)

    def drained_while_the_writer_goes_on(lines: Any) -> list[Any]:
        nonlocal drains
        drains += 1
        if drains == 2:
            write("later", 0.2)
        return drained(lines)

    monkeypatch.setattr(
        "labthings_fastapi.actions.invocation_log.pickle.dumps", dumps_while_somebody_logs
    )
    monkeypatch.setattr(invocation_log, "_drained", drained_while_the_writer_goes_on)
    log.pack()
    for writer in writers:
        writer.join(30)
    assert texts(log) == ["packed", "late", "later"]


def test_a_log_that_cannot_be_packed_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    log = InvocationLog()
    log.keep(record("first"))
    log.keep(record("second"))
    monkeypatch.setattr(
        "labthings_fastapi.actions.invocation_log.pickle.dumps", Mock(side_effect=MemoryError)
    )
    with pytest.raises(MemoryError):
        log.pack()
    assert texts(log) == ["first", "second"]


# --- finalisers ---------------------------------------------------------------------------


class Garbage:
    """Logs when the garbage collector finds it, which may be in the middle of anything."""

    def __init__(self, log: InvocationLog) -> None:
        self._myself = self
        self._log = log

    def __del__(self) -> None:
        self._log.keep(record("from a finaliser"))


def keep(log: InvocationLog) -> None:
    log.keep(record("then"))


def read(log: InvocationLog) -> None:
    assert log.records


OPERATIONS = [
    ([], keep, {"then"}),
    ([keep], InvocationLog.pack, {"then"}),
    ([keep, InvocationLog.pack], read, {"then"}),
    ([InvocationLog.pack], keep, {"then"}),
]


def provoke(
    before: list[Callable[[InvocationLog], None]], do: Callable[[InvocationLog], None]
) -> list[str]:
    """Do something while garbage is found in it, at each moment once; return what is kept."""
    found = []
    for moment in range(40):
        log = InvocationLog()
        for step in before:
            step(log)
        Garbage(log)
        gc.set_threshold(gc.get_count()[0] + moment)
        gc.enable()
        do(log)
        gc.disable()
        gc.collect()
        found += texts(log)
    return found


@pytest.mark.parametrize(("before", "do", "expected"), OPERATIONS)
def test_a_finaliser_may_log_at_any_moment(
    before: list[Any], do: Callable[[InvocationLog], None], expected: set[str]
) -> None:
    found: list[str] = []
    # A lock would hold it for ever.
    thread = threading.Thread(target=lambda: found.extend(provoke(before, do)), daemon=True)
    thresholds = gc.get_threshold()
    gc.collect()
    gc.disable()
    gc.freeze()  # collecting again what earlier tests have left would take minutes
    try:
        thread.start()
        thread.join(120)
        assert not thread.is_alive()  # or it would go on with the settings of later tests
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        gc.enable()
    assert sorted(found) == sorted([*expected, "from a finaliser"] * 40)


# --- what a line holds --------------------------------------------------------------------


class Level(int):
    """A number that nobody can pack."""

    def __reduce__(self) -> Any:
        raise RuntimeError("nobody packs me")


class Safe(str):
    """Text of a class that takes itself for the better one."""

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def isascii(self) -> bool:
        raise RuntimeError("nobody asks me")

    def __reduce__(self) -> Any:
        raise RuntimeError("nobody packs me")


@pytest.mark.parametrize("more", [USUAL, UNUSUAL])
@pytest.mark.parametrize("given", [("%s", Safe("x")), (Safe("x"),), ("%s", Safe("é"))])
def test_the_text_of_a_line_is_of_pythons_own_type(
    more: dict[str, Any], given: tuple[Any, ...]
) -> None:
    text = line_of(record(*given, **more), None)[2]
    assert type(text) is str
    assert text in ("x", "é")


@pytest.mark.parametrize("more", [USUAL, UNUSUAL])
def test_a_packed_log_holds_no_object_of_a_users_class(more: dict[str, Any]) -> None:
    log = InvocationLog()
    pretender = Mock(spec=str)  # `isinstance` takes it for text
    given = {"levelno": Level(20), "levelname": Safe("INFO"), "module": pretender}
    log.keep(record(**(more | given)))
    log.pack()
    (kept,) = log.records
    assert (kept.levelno, kept.levelname, kept.module) == (20, "INFO", "<Mock>")
    assert {type(value) for value in vars(kept).values()} <= {str, int, float, bool, type(None)}


def test_what_a_user_has_added_to_a_line_is_text_at_once() -> None:
    others = line_of(record(shown=Safe("x"), level=Level(3), pretender=Mock(spec=str)), None)[3]
    assert isinstance(others, dict)
    assert (others["shown"], others["level"], others["pretender"]) == ("x", 3, "<Mock>")
    assert (type(others["shown"]), type(others["level"])) == (str, int)


@pytest.mark.parametrize("more", [USUAL, {}, UNUSUAL])
def test_a_traceback_that_another_handler_has_written_is_kept(more: dict[str, Any]) -> None:
    log = InvocationLog()
    log.keep(record(exc_text="Traceback: jammed", **more))
    log.keep(record(exc_text=5, **more))
    assert [kept.exc_text for kept in log.records] == ["Traceback: jammed", "<int>"]


def test_a_filter_that_takes_a_member_away_and_puts_another_in_costs_no_line() -> None:
    log = InvocationLog()
    given = record()
    del given.msecs
    given.sample = "A1"
    log.keep(given)
    log.pack()
    (kept,) = log.records
    assert kept.__dict__["sample"] == "A1"
    assert not hasattr(kept, "msecs")


def test_a_line_knows_about_how_large_it_is() -> None:
    plain = line_of(record("x"), None)[0]
    assert line_of(record("x" * 1001), None)[0] == plain + 1000
    assert line_of(record("x", exc_text="y" * 1000), None)[0] == plain + 1000
    assert line_of(record("x", **UNUSUAL), None)[0] == plain
