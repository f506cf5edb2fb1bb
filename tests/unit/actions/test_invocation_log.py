"""The log of a run loses no line, keeps no user object, and makes no thread wait."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from labthings_fastapi.actions.invocation_log import InvocationLog, line_of, line_payload
from labthings_fastapi.actions.logs import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable

USUAL: dict[str, Any] = {KEPT: True}
"""What the handler adds to a record."""
UNUSUAL: dict[str, Any] = {KEPT: True, "sample": "A1"}


def record(msg: Any = "text", *args: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("lab", logging.INFO, "/lab/stage.py", 7, msg, args or None, None)
    made.__dict__.update(more or USUAL)
    return made


def texts(log: InvocationLog) -> list[str]:
    return [kept.getMessage() for kept in log.records]


# --- what is kept -------------------------------------------------------------------------


@pytest.mark.parametrize("more", [USUAL, UNUSUAL])
def test_the_log_rebuilds_equal_records(more: dict[str, Any]) -> None:
    log = InvocationLog(3)
    given = [record("line %d", number, **more) for number in range(5)]
    for each in given:
        log.keep(each)
    expected = [{**vars(one), "msg": one.getMessage(), "args": None} for one in given[2:]]
    for found, wanted in zip(map(vars, log.records), expected, strict=True):
        assert found.keys() == wanted.keys()
        approximate = {"msecs", "relativeCreated"}  # computed again
        assert {k: v for k, v in found.items() if k not in approximate} == {
            k: v for k, v in wanted.items() if k not in approximate
        }
        assert found["msecs"] == pytest.approx(wanted["msecs"], abs=1)
    assert log.dropped == 2
    log.keep(record("late"))
    assert texts(log) == ["line 3", "line 4", "late"]
    assert log.dropped == 3


def test_the_count_of_dropped_lines_is_right_at_any_time() -> None:
    log = InvocationLog(2)
    assert log.dropped == 0
    for number in range(5):
        log.keep(record("%d", number))
        assert log.dropped == max(number - 1, 0)
        assert log.dropped == max(number - 1, 0)


@pytest.mark.parametrize("length", [100_000, 10, 0])
def test_lines_of_many_threads_are_all_kept_once_and_in_order(length: int) -> None:
    published: list[str] = []
    log = InvocationLog(length, publish=lambda line: published.append(line[0]))
    reading = threading.Event()

    def chat(name: str) -> None:
        for number in range(1000):
            log.keep(record("%s %d", name, number))

    def read() -> None:
        while not reading.is_set():
            assert len(log.lines()) <= length
            assert log.dropped <= 2000

    reader = threading.Thread(target=read)
    threads = [threading.Thread(target=chat, args=(name,)) for name in "ab"]
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    reading.set()
    reader.join()
    assert log.dropped == max(2000 - length, 0)
    assert texts(log) == published[len(published) - min(2000, length) :]
    for name in "ab":
        lines = [text for text in published if text[0] == name]
        assert lines == [f"{name} {number}" for number in range(1000)]


def test_a_line_is_delivered_after_it_was_published_and_without_the_lock() -> None:
    steps: list[str] = []

    def deliver() -> None:
        other = threading.Thread(target=lambda: steps.append(f"deliver {len(log.lines())}"))
        other.start()
        other.join(30)  # in vain if this thread held the lock

    log = InvocationLog(10, publish=lambda line: steps.append(line[0]), deliver=deliver)
    log.keep(record("first"))
    log.keep(record("second"))
    assert steps == ["first", "deliver 1", "second", "deliver 2"]


# --- finalisers ---------------------------------------------------------------------------


def keep(log: InvocationLog) -> None:
    log.keep(record("then"))


def read(log: InvocationLog) -> None:
    assert log.records
    assert log.members()


@pytest.mark.parametrize(
    ("before", "act"), [([], keep), (["then"], read), (["then"], lambda log: log.dropped)]
)
def test_a_finaliser_may_log_at_any_moment(
    with_a_finaliser_at_each_moment: Callable[..., list[InvocationLog]],
    before: list[str],
    act: Callable[[InvocationLog], object],
) -> None:
    def prepare() -> InvocationLog:
        log = InvocationLog()
        for text in before:
            log.keep(record(text))
        return log

    def finalise(log: InvocationLog) -> None:
        log.keep(record("from a finaliser"))

    for log in with_a_finaliser_at_each_moment(prepare, act, finalise):
        assert sorted(texts(log)) == ["from a finaliser", "then"]


def test_a_finaliser_may_log_while_a_line_is_published() -> None:
    published: list[str] = []

    def publish(line: Any) -> None:
        published.append(line[0])
        if len(published) == 1:
            log.keep(record("from a finaliser"))

    log = InvocationLog(publish=publish)
    thread = threading.Thread(target=keep, args=(log,), daemon=True)
    thread.start()
    thread.join(30)
    assert published == texts(log) == ["then", "from a finaliser"]


# --- what a line holds --------------------------------------------------------------------


class Level(int):
    """A number that refuses to be pickled."""

    def __reduce__(self) -> Any:
        raise RuntimeError("never pickled")


class Safe(str):
    """Text of a class with methods of its own."""

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def isascii(self) -> bool:
        raise RuntimeError("never called")

    def __reduce__(self) -> Any:
        raise RuntimeError("never pickled")


@pytest.mark.parametrize("more", [USUAL, UNUSUAL])
@pytest.mark.parametrize("given", [("%s", Safe("x")), (Safe("x"),), ("%s", Safe("é"))])
def test_the_text_of_a_line_is_of_pythons_own_type(
    more: dict[str, Any], given: tuple[Any, ...]
) -> None:
    text = line_of(record(*given, **more))[0]
    assert type(text) is str
    assert text in ("x", "é")


@pytest.mark.parametrize("more", [USUAL, UNUSUAL])
def test_a_log_holds_no_object_of_a_users_class(more: dict[str, Any]) -> None:
    log = InvocationLog()
    pretender = Mock(spec=str)  # `isinstance` takes it for text
    given = {"levelno": Level(20), "levelname": Safe("INFO"), "threadName": pretender}
    log.keep(record(**(more | given)))
    (kept,) = log.records
    assert (kept.levelno, kept.levelname, kept.threadName) == (20, "INFO", "<Mock>")
    assert {type(value) for value in vars(kept).values()} <= {str, int, float, bool, type(None)}


def test_what_a_user_has_added_to_a_line_is_text_at_once() -> None:
    others = line_of(record(shown=Safe("x"), level=Level(3), pretender=Mock(spec=str)))[1]
    assert isinstance(others, dict)
    assert (others["shown"], others["level"], others["pretender"]) == ("x", 3, "<Mock>")
    assert (type(others["shown"]), type(others["level"])) == (str, int)


@pytest.mark.parametrize("more", [USUAL, {}, UNUSUAL])
def test_a_traceback_that_another_handler_has_written_is_kept(more: dict[str, Any]) -> None:
    log = InvocationLog()
    log.keep(record(exc_text="Traceback: jammed", **more))
    log.keep(record(exc_text=5, **more))
    assert [kept.exc_text for kept in log.records] == ["Traceback: jammed", "<int>"]


def test_a_filter_that_replaces_a_member_loses_no_line() -> None:
    log = InvocationLog()
    given = record()
    del given.msecs
    given.sample = "A1"
    log.keep(given)
    (kept,) = log.records
    assert kept.__dict__["sample"] == "A1"
    assert kept.getMessage() == "text"


def test_a_line_for_subscribers_is_rendered_when_it_is_read() -> None:
    position = [1, 2]
    render = line_payload(line_of(record("at %s", position)))
    position[0] = 99
    assert json.loads(render())["message"] == "at [1, 2]"
