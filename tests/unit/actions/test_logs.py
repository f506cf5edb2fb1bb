"""Log records belong to the run in which they are logged, and none can break anything."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.actions import DequeLogHandler
from labthings_fastapi.actions.context import InvocationContext, entered
from labthings_fastapi.actions.invocation_log import LONGEST_LINE, InvocationLog
from labthings_fastapi.actions.logs import (
    THINGS_LOGGER,
    InvocationLogHandler,
    capture,
    message_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.actions import Invocation

    from .conftest import Bench


class Hostile:
    """Cannot be shown."""

    def __str__(self) -> str:
        raise SystemExit("no text")

    __repr__ = __str__


class HostileError(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


def record(msg: Any = "text", *args: Any, level: int = logging.INFO, **more: Any) -> Any:
    made = logging.LogRecord("lab", level, "/somewhere/stage.py", 7, msg, args or None, None)
    made.__dict__.update(more)
    return made


# --- the handler of the contract ----------------------------------------------------------


def test_deque_log_handler_appends_the_record_itself() -> None:
    dest: deque[logging.LogRecord] = deque(maxlen=2)
    handler = DequeLogHandler(dest)
    kept = record()
    handler.emit(kept)
    assert dest[0] is kept
    assert handler.dest is dest
    assert isinstance(handler, logging.Handler)


def test_deque_log_handler_takes_info_and_above_by_default() -> None:
    assert DequeLogHandler([]).level == logging.INFO
    assert DequeLogHandler([], logging.DEBUG).level == logging.DEBUG
    assert DequeLogHandler(dest=[], level=logging.ERROR).level == logging.ERROR


def test_deque_log_handler_works_on_a_logger_and_leaves_the_bound_to_the_caller() -> None:
    logger = logging.Logger("not in the tree", logging.DEBUG)
    dest: list[logging.LogRecord] = []
    logger.addHandler(DequeLogHandler(dest))
    for number in range(2000):
        logger.info("line %d", number)
    logger.debug("too low")
    assert len(dest) == 2000


# --- the text of a record -----------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        record("%d", "no number"),
        record("%s %s", "too few"),
        record("no place", "for this"),
        record("%s", Hostile()),
        record(Hostile()),
        record("%(name)s", {"nome": 1}),
    ],
)
def test_a_record_that_cannot_be_formatted_shows_itself(bad: logging.LogRecord) -> None:
    text = message_of(bad)
    assert text.startswith("Error")
    assert "stage.py:7" in text


def test_a_message_can_always_be_encoded() -> None:
    assert message_of(record("half \ud800")) == "half \\ud800"
    assert message_of(record("%d \ud800", "x")).encode()


def test_a_record_class_with_messages_of_its_own_gives_text() -> None:
    class Counted(logging.LogRecord):
        def getMessage(self) -> Any:  # noqa: N802
            return 42

    assert message_of(Counted("lab", 20, "a.py", 1, "x", None, None)) == "42"


# --- what a run keeps ---------------------------------------------------------------------


def test_a_run_log_keeps_the_newest_and_counts_the_rest() -> None:
    log = InvocationLog(3)
    for number in range(10):
        log.keep(record("%d", number))
    assert [kept.getMessage() for kept in log.records] == ["7", "8", "9"]
    assert log.dropped == 7


def test_a_run_log_may_keep_nothing() -> None:
    log = InvocationLog(0)
    log.keep(record())
    assert log.records == []
    assert log.dropped == 1


def test_reading_a_run_log_gives_a_copy() -> None:
    log = InvocationLog()
    log.records.append(record())
    assert log.records == []


def test_arguments_are_formatted_when_they_are_logged() -> None:
    log, position = InvocationLog(), [1, 2]
    log.keep(record("at %s", position))
    position[0] = 99
    assert log.records[0].getMessage() == "at [1, 2]"
    assert log.records[0].args is None


def test_a_very_long_line_is_cut_and_says_so() -> None:
    log = InvocationLog()
    log.keep(record("x" * (LONGEST_LINE + 5)))
    text = log.records[0].getMessage()
    assert text.startswith("x" * LONGEST_LINE)
    assert text.endswith("(5 more characters were dropped)")


def test_a_traceback_is_kept_as_text_only() -> None:
    log = InvocationLog()
    try:
        raise ValueError("jammed")
    except ValueError as error:
        found = (ValueError, error, error.__traceback__)
    log.keep(record(exc_info=found))
    (kept,) = log.records
    assert kept.exc_info is None
    assert "ValueError: jammed" in (kept.exc_text or "")
    assert kept.__dict__["exception_type"] == "ValueError"


def test_a_traceback_that_cannot_be_shown_says_so() -> None:
    log = InvocationLog()
    log.keep(record(exc_info=(HostileError, HostileError(), None)))
    assert log.records[0].exc_text


def test_the_callers_record_is_left_as_it_is() -> None:
    log = InvocationLog()
    given = record("%s", 1)
    log.keep(given)
    assert given.args == (1,)


# --- which run ----------------------------------------------------------------------------


def context(log: Any) -> InvocationContext:
    made = InvocationContext(uuid.uuid4())
    made.log = log
    return made


def test_the_handler_gives_a_record_to_the_run_around_it_once() -> None:
    log, handler = InvocationLog(), InvocationLogHandler()
    with entered(context(log)):
        kept = record()
        handler.handle(kept)
        handler.handle(kept)
    handler.handle(record())
    assert len(log.records) == 1


def test_the_handler_respects_filters() -> None:
    log, handler = InvocationLog(), InvocationLogHandler()
    handler.addFilter(lambda found: "secret" not in found.getMessage())
    with entered(context(log)):
        handler.handle(record("secret"))
        handler.handle(record("public"))
    assert [kept.getMessage() for kept in log.records] == ["public"]


def test_a_log_that_fails_does_not_fail_the_code_that_logs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class FullLog:
        records: tuple[()] = ()

        def keep(self, _record: logging.LogRecord) -> None:
            raise OSError("full")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    handled: list[logging.LogRecord] = []
    handler = InvocationLogHandler()
    monkeypatch.setattr(handler, "handleError", handled.append)
    with entered(context(FullLog())):
        handler.handle(record())
    assert len(handled) == 1


def test_capture_twice_adds_one_handler_and_leaves_a_level_that_was_set() -> None:
    logger = logging.getLogger("labthings_test_capture")
    capture(logger.name)
    capture(logger.name)
    assert len(logger.handlers) == 1
    assert logger.level == logging.INFO
    logger.setLevel(logging.ERROR)
    capture(logger.name)
    assert logger.level == logging.ERROR


def test_a_run_keeps_what_its_thing_logs_and_not_what_others_log(
    thing: Bench, run: Callable[..., Invocation]
) -> None:
    def code() -> None:
        thing.logger.info("at %d µm", 5)
        thing.logger.debug("too low")
        logging.getLogger("some.driver").warning("not ours")
        stranger = threading.Thread(target=lambda: thing.logger.info("from outside"))
        stranger.start()
        stranger.join()

    assert [kept.getMessage() for kept in run(code).log] == ["at 5 µm"]


def test_runs_at_the_same_time_keep_their_own_lines(
    thing: Bench, begin: Callable[..., Invocation]
) -> None:
    barrier = threading.Barrier(4)

    def code_of(number: int) -> Callable[[], None]:
        def code() -> None:
            barrier.wait(30)
            for _ in range(50):
                thing.logger.info("%d", number)

        return code

    runs = []
    for number in range(4):
        runs.append(begin(code_of(number)))
        # Started one by one, because they share the place for their code.
        while runs[-1].status.value == "pending":
            pass
    for invocation in runs:
        invocation.join(30)
    lines = [{kept.getMessage() for kept in invocation.log} for invocation in runs]
    assert sorted(lines, key=str) == [{str(number)} for number in range(4)]


@pytest.mark.usefixtures("_no_other_handlers")
@pytest.mark.parametrize("bad", [("%d", "x"), ("%s", Hostile()), ("half \ud800",), (Hostile(),)])
def test_one_bad_log_call_breaks_neither_the_run_nor_its_view(
    thing: Bench, run: Callable[..., Invocation], bad: tuple[Any, ...]
) -> None:
    def code() -> int:
        thing.logger.info(*bad)
        return 1

    invocation = run(code)
    assert invocation.output == 1
    assert len(invocation.log) == 1
    assert invocation.response().model_dump_json()


def test_no_logger_is_made_for_a_run(run: Callable[..., Invocation], thing: Bench) -> None:
    run(lambda: thing.logger.info("x"))
    before = set(logging.Logger.manager.loggerDict)
    run(lambda: thing.logger.info("x"))
    assert set(logging.Logger.manager.loggerDict) == before
    assert f"{THINGS_LOGGER}.Bench" in before


def test_a_failing_action_leaves_its_traceback_in_the_log(run: Callable[..., Invocation]) -> None:
    def code() -> None:
        raise ValueError("jammed")

    (kept,) = run(code).log
    assert "ValueError: jammed" in (kept.exc_text or "")
    assert kept.levelno == logging.ERROR
