"""One run in two vocabularies, written without running user code."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.actions.invocation_log import InvocationLog
from labthings_fastapi.actions.invocation_model import LogRecordModel
from labthings_fastapi.actions.progress import progress
from labthings_fastapi.actions.rendering import (
    InvocationUrls,
    action_status,
    invocation_json,
    status_json,
    summary,
)
from labthings_fastapi.messages.message import InvocationStatus

from .conftest import failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.actions import ActionManager, Invocation

    from .conftest import Bench

pytestmark = pytest.mark.usefixtures("_no_other_handlers")

PLACE = InvocationUrls("http://lab:5000", "/api")
SUMMARY = {
    "status",
    "id",
    "action",
    "href",
    "timeStarted",
    "timeRequested",
    "timeCompleted",
    "links",
    "progress",
    "progressDetail",
    "phase",
}


def failing() -> None:
    raise ValueError("half \ud800")


def test_a_summary_leaves_out_what_is_large(run: Callable[..., Invocation]) -> None:
    found = json.loads(summary(run(lambda: 5).snapshot(), PLACE))
    assert found.keys() == SUMMARY


def test_in_full_a_run_has_every_key_whatever_its_state(
    run: Callable[..., Invocation], holding: Invocation
) -> None:
    more = {"input", "output", "log", "error", "logDropped", "cancelRequested"}
    for one in (run(lambda: 5), run(failing), holding):
        assert json.loads(invocation_json(one.snapshot(log=True), PLACE)).keys() == SUMMARY | more


def test_hrefs_begin_with_the_place(run: Callable[..., Invocation]) -> None:
    invocation = run(lambda: 5)
    href = f"http://lab:5000/api/action_invocations/{invocation.id}"
    found = json.loads(invocation_json(invocation.snapshot(log=True), PLACE))
    assert found["href"] == href
    assert {link["rel"]: link["href"] for link in found["links"]} == {
        "self": href,
        "output": f"{href}/output",
        "events": f"{href}/events",
        "files": f"{href}/files",
    }
    assert InvocationUrls().of_invocation(invocation.id) == f"/action_invocations/{invocation.id}"


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [(lambda: 5, "completed", "completed"), (failing, "error", "failed")],
)
def test_the_w3c_words(
    run: Callable[..., Invocation], code: Callable[[], Any], status: str, word: str
) -> None:
    invocation = run(code)
    assert json.loads(summary(invocation.snapshot(), PLACE))["status"] == status
    found = json.loads(action_status(invocation.snapshot(), PLACE))
    assert found["status"] == word
    assert found["href"] == f"http://lab:5000{invocation.record.action_path}/{invocation.id}"
    assert ("error" in found) is (word == "failed")
    assert ("output" in found) is (word == "completed")
    assert None not in found.values()


def test_a_short_w3c_status_leaves_out_what_is_large(run: Callable[..., Invocation]) -> None:
    found = json.loads(action_status(run(lambda: 5).snapshot(), PLACE, short=True))
    assert not {"input", "output", "log", "error"} & found.keys()


def test_a_falsy_output_is_shown_in_w3c_words_too(run: Callable[..., Invocation]) -> None:
    assert json.loads(action_status(run(lambda: None).snapshot(), PLACE))["output"] is None
    assert json.loads(action_status(run(lambda: 0).snapshot(), PLACE))["output"] == 0


def test_a_cancelled_run_has_failed_in_w3c_words(holding: Invocation, thing: Bench) -> None:
    assert json.loads(action_status(holding.snapshot(), PLACE))["status"] == "running"
    assert "timeEnded" not in json.loads(action_status(holding.snapshot(), PLACE))


def test_an_output_is_put_in_as_it_was_written(run: Callable[..., Invocation]) -> None:
    value = {"a": [1.5, "ü"], "most": float("inf")}
    invocation = run(lambda: value)
    value["a"] = "changed later"
    assert json.loads(invocation_json(invocation.snapshot(log=True), PLACE))["output"] == {
        "a": [1.5, "ü"],
        "most": "Infinity",
    }


def test_times_are_aware_and_utc(run: Callable[..., Invocation]) -> None:
    found = json.loads(invocation_json(run(lambda: 5).snapshot(log=True), PLACE))
    for name in ("timeRequested", "timeStarted", "timeCompleted"):
        assert found[name].endswith("+00:00")


def test_progress_is_shown_in_percent_and_in_detail(run: Callable[..., Invocation]) -> None:
    found = json.loads(
        summary(run(lambda: progress(1, 8, message="m", unit="mm")).snapshot(), PLACE)
    )
    assert found["progress"] == 12.5
    assert found["progressDetail"].keys() == {
        "done",
        "total",
        "unit",
        "message",
        "elapsed",
        "remaining",
    }


def test_the_status_of_a_failure_has_its_error(run: Callable[..., Invocation]) -> None:
    invocation = run(failing)
    found = json.loads(status_json(invocation.snapshot(), InvocationUrls()))
    assert found["status"] == "error"
    assert found["error"]["detail"] == "ValueError: half \\ud800"


def test_the_journal_keeps_the_log_of_a_finished_run(
    manager: ActionManager, run: Callable[..., Invocation]
) -> None:
    invocation = run(failing)
    record = manager.journal.get(invocation.id)
    assert record is not None
    assert [line["levelname"] for line in record.log] == ["ERROR"]
    assert record.error == invocation.record.error
    assert (record.status, record.boot_id) == (InvocationStatus.ERROR, manager.broker.boot_id)


@pytest.mark.parametrize(
    "record",
    [
        logging.LogRecord("lab", logging.INFO, "/lab/stage.py", 7, "at %d", (5,), None),
        logging.LogRecord(
            "lab", logging.ERROR, "/lab/stage.py", 7, "%d", ("no",), failure("jämmed")
        ),
        logging.makeLogRecord({"created": 1704110400.0, "msg": "on the second"}),
        logging.makeLogRecord({"levelname": object(), "levelno": None, "created": "soon"}),
    ],
    ids=lambda record: str(record.msg),
)
def test_a_line_is_shown_as_its_model_says(record: logging.LogRecord) -> None:
    log = InvocationLog()
    log.keep(record)
    (line,) = log.members()
    expected = LogRecordModel.model_validate(record).model_dump(mode="json")
    if not isinstance(record.created, float):  # then it is the time of reading
        assert line.pop("created").endswith("Z")
        assert expected.pop("created").endswith("Z")
    assert line == expected


def test_only_an_unusual_run_has_remarks(run: Callable[..., Invocation]) -> None:
    record = run(lambda: None).snapshot()
    remarks = {"queuePosition", "phaseDetail", "journaled", "outputReference"}
    assert not remarks & json.loads(summary(record, PLACE)).keys()
    unusual = record._replace(
        status=InvocationStatus.RUNNING,
        queue_position=2,
        overdue=True,
        journaled=False,
        output=None,
        output_reference={"size": 1, "media_type": "image/png"},
    )
    for found in (summary(unusual, PLACE), status_json(unusual, PLACE)):
        assert remarks <= json.loads(found).keys()
