"""The words on the wire: what older callers may construct and what hostile records become."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import labthings_fastapi.actions as room
from labthings_fastapi.actions import invocation_model as words
from labthings_fastapi.actions.invocation_model import (
    GenericInvocationModel,
    InvocationModel,
    InvocationStatus,
    LogRecordModel,
)

OLD: dict[str, Any] = {
    "status": InvocationStatus.RUNNING,
    "id": uuid.uuid4(),
    "action": "/stage/move",
    "href": "/action_invocations/x",
    "timeStarted": datetime(2024, 1, 1, 12, tzinfo=UTC),
    "timeRequested": None,
    "timeCompleted": None,
    "input": {"x": 1},
    "output": None,
    "log": [],
    "links": [{"rel": "self", "href": "/x"}],
}


def test_the_path_is_the_one_that_clients_know() -> None:
    assert room.ACTION_INVOCATIONS_PATH == "/action_invocations"


@pytest.mark.parametrize(
    "name",
    [
        "ACTION_INVOCATIONS_PATH",
        "Invocation",
        "DequeLogHandler",
        "ActionManager",
        "InvocationModel",
        "InvocationStatus",
    ],
)
def test_the_room_exports_the_names_of_the_contract(name: str) -> None:
    assert hasattr(room, name)
    assert name in room.__all__


@pytest.mark.parametrize(
    "name", ["InvocationStatus", "LogRecordModel", "GenericInvocationModel", "InvocationModel"]
)
def test_the_module_exports_the_names_of_the_contract(name: str) -> None:
    assert hasattr(words, name)
    assert name in words.__all__


def test_the_same_name_is_the_same_thing_everywhere() -> None:
    assert room.InvocationModel is words.InvocationModel
    assert room.InvocationStatus is words.InvocationStatus
    assert words.InvocationModel is GenericInvocationModel[Any, Any]


def test_the_status_is_a_plain_enum_of_five_words() -> None:
    assert {status.name: status.value for status in InvocationStatus} == {
        "PENDING": "pending",
        "RUNNING": "running",
        "COMPLETED": "completed",
        "CANCELLED": "cancelled",
        "ERROR": "error",
    }
    assert InvocationStatus.__bases__ == (Enum,)


def test_an_older_caller_constructs_it_without_our_additions() -> None:
    model = InvocationModel(**OLD)
    assert (model.error, model.progress, model.progressDetail, model.phase) == (None,) * 4


def test_input_and_output_may_be_typed() -> None:
    class Position(BaseModel):
        x: int

    typed = GenericInvocationModel[Position, int | None]
    assert typed(**OLD).input == Position(x=1)
    with pytest.raises(ValidationError, match="output"):
        typed(**{**OLD, "output": "five"})


def test_times_are_utc_on_the_wire() -> None:
    there = timezone(timedelta(hours=5))
    model = InvocationModel(**{**OLD, "timeStarted": datetime(2024, 1, 1, 12, tzinfo=there)})
    assert json.loads(model.model_dump_json())["timeStarted"] == "2024-01-01T07:00:00Z"


def test_a_naive_time_is_taken_as_local_and_made_aware() -> None:
    naive = datetime(2024, 1, 1, 12)  # noqa: DTZ001 - as an older caller gives it
    model = InvocationModel(**{**OLD, "timeStarted": naive})
    assert model.timeStarted is not None
    assert model.timeStarted.utcoffset() == timedelta(0)
    assert model.timeStarted == naive.astimezone(UTC)


# --- log records --------------------------------------------------------------------------


class HostileError(Exception):
    def __str__(self) -> str:
        raise SystemExit


def record(msg: Any = "at %d", args: Any = (5,), **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("lab", logging.WARNING, "/lab/stage.py", 7, msg, args, None)
    made.__dict__.update(more)
    return made


def test_a_record_becomes_its_formatted_line() -> None:
    found = LogRecordModel.model_validate(record(created=1704110400.0))
    assert found.model_dump() == {
        "message": "at 5",
        "levelname": "WARNING",
        "levelno": 30,
        "lineno": 7,
        "filename": "stage.py",
        "created": datetime(2024, 1, 1, 12, tzinfo=UTC),
        "exception_type": None,
        "traceback": None,
    }


@pytest.mark.parametrize("bad", [record("%d", ("x",)), record("none", (1,)), record("half \ud800")])
def test_a_bad_record_is_shown_and_breaks_nothing(bad: logging.LogRecord) -> None:
    found = LogRecordModel.model_validate(bad)
    assert found.message.startswith(("Error", "half"))
    assert found.model_dump_json()


def test_an_exception_is_named_and_its_traceback_told() -> None:
    error = ValueError("jammed")
    found = LogRecordModel.model_validate(record(exc_info=(ValueError, error, None)))
    assert found.exception_type == "ValueError"
    assert "jammed" in (found.traceback or "")


@pytest.mark.parametrize(
    "exc_info", [(None, None, None), False, True, (HostileError, HostileError(), None)]
)
def test_odd_exception_information_breaks_nothing(exc_info: Any) -> None:
    assert LogRecordModel.model_validate(record(exc_info=exc_info)).message == "at 5"


def test_it_is_also_read_from_any_attributes_and_extra_ones_are_ignored() -> None:
    found = LogRecordModel.model_validate(
        SimpleNamespace(
            message="m", levelname="INFO", levelno=20, lineno=1, filename="f", created=0, other=1
        )
    )
    assert found.message == "m"
    again = LogRecordModel.model_validate({**found.model_dump(), "other": 1})
    assert again == found


def test_importing_the_words_loads_no_web_framework() -> None:
    code = (
        "import labthings_fastapi.actions.invocation_model, sys;"
        "print([name for name in ('fastapi', 'starlette', 'uvicorn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("member", "value", "shown"),
    [
        ("levelname", None, "<NoneType>"),
        ("levelname", "\ud800", "\\ud800"),
        ("levelno", "high", 0),
        ("lineno", None, 0),
        ("filename", 7, "<int>"),
    ],
)
def test_a_record_that_a_filter_has_broken_is_shown_all_the_same(member, value, shown):
    record = logging.LogRecord("lab", logging.INFO, "/somewhere/stage.py", 7, "text", None, None)
    record.__dict__[member] = value
    assert getattr(LogRecordModel.model_validate(record), member) == shown


@pytest.mark.parametrize("value", [None, "yesterday", float("nan"), 1e300])
def test_a_record_without_a_time_gets_one(value):
    record = logging.LogRecord("lab", logging.INFO, "/somewhere/stage.py", 7, "text", None, None)
    record.created = value
    assert LogRecordModel.model_validate(record).created.tzinfo is not None
