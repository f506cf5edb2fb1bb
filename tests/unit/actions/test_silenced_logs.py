"""A library that reconfigures `logging` silences the program, but not the logs of runs."""

from __future__ import annotations

import logging
import logging.config
import threading
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.actions.logs import (
    CapturingLogger,
    capture_more,
    capturing_logger,
    get_thing_logger,
)
from labthings_fastapi.dependencies.invocation import InvocationLoggerAdapter, invocation_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labthings_fastapi.actions import Invocation

    from .conftest import Bench

NOTHING: dict[str, Any] = {"version": 1}
DRIVER = "labthings_test_driver"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    before = {each: (each.level, list(each.handlers)) for each in all_loggers()}
    yield
    logging.disable(logging.NOTSET)
    for logger in all_loggers():
        level, handlers = before.get(logger, (logging.NOTSET, []))
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.disabled, logger.propagate = False, True


def all_loggers() -> list[logging.Logger]:
    found = [logging.root, *logging.root.manager.loggerDict.values()]
    return [each for each in found if isinstance(each, logging.Logger)]


def remove_handlers() -> None:
    for name in ("labthings_fastapi", DRIVER):
        logging.getLogger(name).handlers.clear()
    logging.root.handlers.clear()


def raise_levels() -> None:
    for logger in all_loggers():
        logger.setLevel(logging.CRITICAL + 1)


def stop_propagation() -> None:
    for logger in all_loggers():
        logger.propagate = False


SILENCERS: list[Callable[[], object]] = [
    lambda: logging.config.dictConfig(NOTHING),
    lambda: logging.config.dictConfig({**NOTHING, "root": {"level": "CRITICAL", "handlers": []}}),
    lambda: logging.disable(logging.CRITICAL),
    remove_handlers,
    raise_levels,
    stop_propagation,
]


@pytest.mark.parametrize("silence", SILENCERS)
def test_a_run_keeps_what_its_thing_logs_once(
    silence: Callable[[], object], thing: Bench, run: Callable[..., Invocation]
) -> None:
    def code() -> None:
        thing.logger.info("before")
        silence()
        thing.logger.info("after %d", 1)
        thing.logger.warning("and then")

    assert [line.getMessage() for line in run(code).log] == ["before", "after 1", "and then"]


@pytest.mark.parametrize("silence", SILENCERS)
def test_a_run_that_begins_later_keeps_its_lines_and_why_it_failed(
    silence: Callable[[], object], thing: Bench, run: Callable[..., Invocation]
) -> None:
    def code() -> None:
        thing.logger.info("moving")
        raise OSError("jammed")

    silence()
    texts = [line.getMessage() for line in run(code).log]
    assert texts[0] == "moving"
    assert "jammed" in texts[1]


@pytest.mark.parametrize("silence", SILENCERS)
def test_a_run_keeps_what_a_captured_driver_logs(
    silence: Callable[[], object], run: Callable[..., Invocation]
) -> None:
    driver = logging.getLogger(f"{DRIVER}.serial")
    capture_more([DRIVER])

    def code() -> None:
        driver.info("sent")
        silence()
        driver.info("received")

    assert [line.getMessage() for line in run(code).log] == ["sent", "received"]


@pytest.mark.parametrize("silence", SILENCERS)
def test_the_injected_logger_logs_into_its_run_from_any_thread(
    silence: Callable[[], object], thing: Bench, run: Callable[..., Invocation]
) -> None:
    logger = InvocationLoggerAdapter(invocation_id())

    def code() -> None:
        from labthings_fastapi.actions.context import current_invocation

        context = current_invocation()
        assert context is not None
        logger.enter_invocation(context)
        silence()
        outside = threading.Thread(target=lambda: logger.info("from outside"))
        outside.start()
        outside.join()

    assert [line.getMessage() for line in run(code).log] == ["from outside"]


def test_a_silenced_logger_stays_silent_for_others(caplog: pytest.LogCaptureFixture) -> None:
    logger = get_thing_logger("quiet")
    logger.setLevel(logging.ERROR)
    logger.info("nobody's")
    assert not logger.isEnabledFor(logging.INFO)
    assert caplog.records == []


def test_a_filter_of_the_logger_counts_for_runs_too(
    thing: Bench, run: Callable[..., Invocation]
) -> None:
    def code() -> None:
        thing.logger.addFilter(no_secrets)
        try:
            thing.logger.info("secret")
            thing.logger.info("public")
        finally:
            thing.logger.removeFilter(no_secrets)

    def no_secrets(record: logging.LogRecord) -> bool:
        return "secret" not in record.getMessage()

    assert [line.getMessage() for line in run(code).log] == ["public"]


def test_the_logger_of_a_thing_is_the_one_that_python_knows(thing: Bench) -> None:
    assert thing.logger is logging.getLogger(thing.logger.name)


def test_a_program_may_have_a_class_of_loggers_of_its_own() -> None:
    class LabLogger(logging.Logger):
        def lab(self) -> str:
            return "ours"

    logging.setLoggerClass(LabLogger)
    try:
        logger = capturing_logger("labthings_test_of_a_class")
    finally:
        logging.setLoggerClass(logging.Logger)
    assert isinstance(logger, CapturingLogger)
    assert isinstance(logger, LabLogger)
    assert logger.lab() == "ours"
