"""The lines of a run reach subscribers as its log shows them, and hold no objects of users."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import uuid
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from labthings_fastapi.actions.invocation_messages import LogMessages

from labthings_fastapi.actions.invocation_log import InvocationLog
from labthings_fastapi.actions.invocation_model import LogRecordModel
from labthings_fastapi.actions.routes import _events_of
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.sse import encode
from labthings_fastapi.messages.topic import Topic

from .conftest import failure

if TYPE_CHECKING:
    from labthings_fastapi.actions import ActionManager, Invocation


class Sample:
    """Something of a user's."""


@pytest.fixture
def broker() -> Broker:
    return Broker("abc")


@pytest.fixture
def log(broker: Broker) -> InvocationLog:
    run: Any = SimpleNamespace(thing_name="stage", action_name="move", id=uuid.UUID(int=1))
    return InvocationLog(100, LogMessages(run, broker))


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
    assert message.time.timestamp() == pytest.approx(given.created, abs=1e-5)
    assert (message.thing, message.affordance, message.invocation) == (
        "stage",
        "move",
        uuid.UUID(int=1),
    )


def test_a_line_says_what_was_true_when_it_was_logged(broker: Broker, log: InvocationLog) -> None:
    position = [1, 2]
    log.keep(record("at %s", position))
    position[0] = 99
    assert json.loads(replayed(broker)[0].payload)["message"] == "at [1, 2]"


def test_nothing_of_a_users_is_kept_alive(broker: Broker, log: InvocationLog) -> None:
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


def test_a_reader_may_do_as_it_likes_with_the_records_it_got(
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
    log.pack()
    assert [kept.getMessage() for kept in log.records] == ["at 5{}", "then"]


def test_a_stream_that_is_ended_while_its_client_is_slow_gives_what_waits(
    manager: ActionManager, holding: Invocation
) -> None:
    async def given() -> list[bytes]:
        stream = _events_of(holding, manager, None)
        assert b"event: status" in await anext(stream)
        # Meanwhile the client reads, and the server stops.
        message = Message("result", "Bench", "hold", b"{}", invocation=holding.id)
        late.append(encode(manager.broker.publish(message)))
        manager.broker.end_streams()
        return [event async for event in stream]

    late: list[bytes] = []
    assert asyncio.run(given()) == late
