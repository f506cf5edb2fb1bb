"""What an invocation reports reaches subscribers as clients see it, and holds no user objects."""

from __future__ import annotations

import gc
import json
import logging
import uuid
import weakref
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from labthings_fastapi.actions.invocation_log import InvocationLog
from labthings_fastapi.actions.invocation_model import LogRecordModel
from labthings_fastapi.actions.progress import Progress
from labthings_fastapi.actions.publisher import InvocationPublisher
from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.record import OUTPUT_LIMIT, InvocationRecord
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import InvocationStatus, Message
from labthings_fastapi.messages.topic import Topic

from .conftest import failure

RECORD = InvocationRecord(
    *(uuid.UUID(int=1), "stage", "move", InvocationStatus.RUNNING, "ada", b"{}"),
    time_requested=datetime(2024, 5, 17, tzinfo=UTC),
    boot_id="abc",
    action_path="/stage/move",
    phase="running",
)


class Sample:
    """Something of a user's."""


@pytest.fixture
def broker() -> Broker:
    return Broker("abc")


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
def publisher(broker: Broker, journal: MemoryJournal) -> InvocationPublisher:
    return InvocationPublisher(broker, lambda: journal, lambda _record: None)


@pytest.fixture
def log(publisher: InvocationPublisher) -> InvocationLog:
    return InvocationLog(100, None, partial(publisher.line, RECORD), publisher.deliver)


def record(msg: Any = "text", *args: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("lab", logging.INFO, "/lab/stage.py", 7, msg, args or None, None)
    made.__dict__.update(more)
    return made


def replayed(broker: Broker) -> list[Message]:
    return broker.subscribe(Topic(), after="abc-0").take()


@pytest.mark.parametrize(
    "given",
    [
        record("at %s of %d", "home", 5),
        record("100 %"),
        record("%d", "no number"),
        record("half \ud800 é"),
        record("failed", exc_info=failure()),
        record("x" * 20_000),
        record(msg=17),
        record("%(axis)s", {"axis": "x"}),
    ],
)
def test_a_line_reads_the_same_in_the_log_and_in_the_stream(
    broker: Broker, log: InvocationLog, given: logging.LogRecord
) -> None:
    log.keep(given)
    (message,) = replayed(broker)
    (kept,) = log.records
    expected = LogRecordModel.model_validate(kept).model_dump(mode="json")
    assert json.loads(message.payload) == expected
    assert message.time == datetime.fromtimestamp(given.created, UTC)
    assert (message.thing, message.affordance, message.invocation) == (
        "stage",
        "move",
        uuid.UUID(int=1),
    )


def test_a_line_is_formatted_when_it_is_logged(broker: Broker, log: InvocationLog) -> None:
    position = [1, 2]
    log.keep(record("at %s", position))
    position[0] = 99
    assert json.loads(replayed(broker)[0].payload)["message"] == "at [1, 2]"


def test_no_user_object_is_kept_alive(broker: Broker, log: InvocationLog) -> None:
    def logs() -> weakref.ref[Sample]:
        sample = Sample()
        log.keep(record("%s", sample, sample=sample, labthings_kept=True))
        return weakref.ref(sample)

    alive = logs()
    gc.collect()
    assert alive() is None
    assert log.records[0].__dict__["sample"] == "<Sample>"
    assert len(replayed(broker)) == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"levelname": Sample()},
        {"levelno": "high"},
        {"filename": b"a.py"},
        {"filename": "\ud800.py"},
        {"created": float("nan")},
        {"created": "now"},
        {"lineno": None},
    ],
)
def test_a_member_that_a_filter_has_broken_ends_no_stream(
    broker: Broker, log: InvocationLog, broken: dict[str, Any]
) -> None:
    log.keep(record("fine", **broken))
    (message,) = replayed(broker)
    assert json.loads(message.payload)["message"] == "fine"


def test_a_reader_that_changes_a_record_changes_only_its_copy(
    broker: Broker, log: InvocationLog
) -> None:
    log.keep(record("fine"))
    log.records[0].msg = "spoilt"
    assert log.records[0].getMessage() == "fine"
    assert json.loads(replayed(broker)[0].payload)["message"] == "fine"


def test_a_record_class_of_the_application_is_kept_as_its_text(log: InvocationLog) -> None:
    class Braces(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802
            return str(self.msg).format(*(self.args or ()))

    log.keep(Braces("lab", logging.INFO, "/lab/stage.py", 7, "at {}{{}}", (5,), None))
    log.keep(record("then"))
    assert [kept.getMessage() for kept in log.records] == ["at 5{}", "then"]


# --- other reports ------------------------------------------------------------------------


def ended(**changes: Any) -> InvocationRecord:
    changes = {"output": b'"big"', "phase": "finished"} | changes
    return RECORD._replace(status=InvocationStatus.COMPLETED, **changes)


def test_only_the_last_status_is_final(broker: Broker, publisher: InvocationPublisher) -> None:
    publisher.status(RECORD)
    publisher.status(ended())
    publisher.deliver()
    messages = replayed(broker)
    assert [message.final for message in messages] == [False, True]
    found = [json.loads(message.payload) for message in messages]
    assert [each["status"] for each in found] == ["running", "completed"]
    assert {each["href"] for each in found} == {f"/action_invocations/{RECORD.id}"}


def test_reports_are_published_in_the_order_in_which_they_were_made(
    broker: Broker, publisher: InvocationPublisher
) -> None:
    subscription = broker.subscribe(Topic(invocation=RECORD.id))
    publisher.status(RECORD)
    publisher.progress(RECORD, Progress(1, 2, None, None, 0.5))
    publisher.result(RECORD, 1, "seven", b"7")
    publisher.status(ended())
    assert not subscription.wait(0)  # under the invocation's lock nobody is woken
    publisher.deliver()
    messages = subscription.take()
    assert [message.kind for message in messages] == ["status", "progress", "result", "status"]
    assert json.loads(messages[1].payload)["progress"] == 50
    assert json.loads(messages[2].payload) == {"number": 1, "value": 7}
    assert messages[2].value == "seven"


def test_the_replay_keeps_no_output_and_no_result_alive(
    broker: Broker, publisher: InvocationPublisher
) -> None:
    output = b'"' + b"x" * 10_000 + b'"'
    sample = Sample()
    alive = weakref.ref(sample)
    publisher.status(ended(output=output))
    publisher.result(RECORD, 1, sample, b"null")
    publisher.deliver()
    assert broker.position == "abc-2"
    del sample
    gc.collect()
    assert alive() is None
    assert not any(each is output for each in gc.get_objects())
    assert all(len(message.payload) < 1000 for message in replayed(broker))


def test_the_sizes_that_bound_the_replay_are_about_those_of_the_payloads(
    broker: Broker, publisher: InvocationPublisher, log: InvocationLog
) -> None:
    publisher.status(RECORD)
    publisher.status(ended(error={"title": "failed", "detail": "x" * 500}))
    log.keep(record("x" * 2000))
    for message in replayed(broker):
        assert 0.5 < message.size / len(message.payload) < 2


def test_a_status_shows_what_was_true_when_it_was_reported(
    broker: Broker, publisher: InvocationPublisher
) -> None:
    publisher.status(RECORD._replace(phase="queued", queue_position=2))
    publisher.status(RECORD)
    publisher.deliver()
    first, second = (json.loads(message.payload) for message in replayed(broker))
    assert (first["phase"], first["queuePosition"]) == ("queued", 2)
    assert second["phase"] == "running"
    assert "queuePosition" not in second


# --- the journal --------------------------------------------------------------------------


def test_a_record_is_in_the_journal_when_its_future_is_done(
    publisher: InvocationPublisher, journal: MemoryJournal
) -> None:
    assert publisher.record(RECORD).result(30) is None
    found = journal.get(RECORD.id)
    assert found is not None
    assert (found.status, found.boot_id) == (InvocationStatus.RUNNING, publisher.boot_id)


def test_the_journal_keeps_small_outputs_and_refers_to_large_ones(
    publisher: InvocationPublisher, journal: MemoryJournal
) -> None:
    publisher.record(ended(output=b'"x"')).result(30)
    found = journal.get(RECORD.id)
    assert found is not None
    assert (found.output, found.output_reference) == (b'"x"', None)
    publisher.record(ended(output=b"1" * (OUTPUT_LIMIT + 1))).result(30)
    found = journal.get(RECORD.id)
    assert found is not None
    assert found.output is None
    assert found.output_reference == {"size": OUTPUT_LIMIT + 1, "media_type": "application/json"}


def test_a_journal_that_raises_counts_as_one_that_cannot_write(broker: Broker) -> None:
    def full() -> MemoryJournal:
        raise OSError(28, "No space left on device")

    commit = InvocationPublisher(broker, full, lambda _record: None).record(RECORD)
    error = commit.exception(30)
    assert error is not None
    assert "No space left" in describe_exception(error)
