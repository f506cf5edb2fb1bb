"""What an action can have injected belongs to its run."""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from labthings_fastapi.actions import ActionManager
from labthings_fastapi.actions.cancellation import CancelEvent as DefinedCancelEvent
from labthings_fastapi.actions.context import InvocationContext
from labthings_fastapi.actions.invocation_log import InvocationLog
from labthings_fastapi.actions.logs import capture
from labthings_fastapi.actions.protocols import BelongsToInvocation
from labthings_fastapi.decorators import action
from labthings_fastapi.dependencies.invocation import (
    CancelEvent,
    CancelHook,
    InvocationCancelledError,
    InvocationID,
    InvocationLogger,
    InvocationLoggerAdapter,
    invocation_cancel_hook,
    invocation_id,
    invocation_logger,
)
from labthings_fastapi.thing import Thing


class Stage(Thing):
    """Has everything injected."""

    @action
    def move(
        self,
        steps: int,
        id: InvocationID,
        cancel: CancelHook,
        logger: InvocationLogger,
    ) -> list[str]:
        """Log from a thread that belongs to no run."""
        worker = threading.Thread(target=logger.info, args=("moved %d", steps))
        worker.start()
        worker.join()
        cancel.raise_if_set()
        return [str(id), str(cancel.id)]


def test_the_names_of_the_contract_are_here() -> None:
    assert CancelEvent is DefinedCancelEvent
    assert issubclass(InvocationCancelledError, BaseException)
    assert not issubclass(InvocationCancelledError, Exception)


def test_injected_parameters_are_no_input() -> None:
    assert set(Stage.move.dependency_params) == {"id", "cancel", "logger"}
    assert set(Stage.move.input_model.model_fields) == {"steps"}


def test_ids_are_fresh() -> None:
    assert invocation_id() != invocation_id()


def test_a_hook_and_a_logger_belong_to_their_run() -> None:
    id = uuid.uuid4()
    hook = invocation_cancel_hook(id)
    assert isinstance(hook, CancelEvent)
    assert hook.id == id
    logger = invocation_logger(id)
    assert isinstance(logger, InvocationLoggerAdapter)
    assert isinstance(logger, BelongsToInvocation)
    assert logger.id == id


def test_one_request_has_one_id() -> None:
    app = FastAPI()

    @app.get("/")
    def ask(id: InvocationID, cancel: CancelHook, logger: InvocationLogger) -> list[str]:
        assert isinstance(logger, InvocationLoggerAdapter)
        return [str(id), str(cancel.id), str(logger.id)]

    client = TestClient(app)
    first, second = client.get("/").json(), client.get("/").json()
    assert len(set(first)) == len(set(second)) == 1
    assert first != second


def test_an_action_gets_what_belongs_to_its_run() -> None:
    stage, manager, id = Stage(), ActionManager(), uuid.uuid4()
    hook = invocation_cancel_hook(id)
    given: dict[str, Any] = {"id": id, "cancel": hook, "logger": invocation_logger(id)}
    run = manager.invoke_action(
        Stage.move, stage, id, Stage.move.input_model(steps=3), given, cancel_hook=hook
    )
    run.join(30)
    assert run.output == [str(id), str(id)]
    assert [kept.getMessage() for kept in run.log] == ["moved 3"]


def test_before_its_run_a_logger_only_logs(caplog: pytest.LogCaptureFixture) -> None:
    capture()
    invocation_logger(uuid.uuid4()).warning("too early")
    assert "too early" in caplog.text


def test_a_logger_keeps_what_the_caller_adds_and_takes_the_runs_name_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    capture()
    log, id = InvocationLog(), uuid.uuid4()
    logger = InvocationLoggerAdapter(id)
    context = InvocationContext(id)
    context.log = log
    logger.enter_invocation(context)
    logger.info("at %d", 5, extra={"axis": "x"})
    (kept,) = log.records
    assert kept.__dict__["axis"] == "x"
    assert not any(isinstance(value, InvocationContext) for value in kept.__dict__.values())


def test_no_logger_is_made_for_a_run() -> None:
    InvocationLoggerAdapter(uuid.uuid4())
    before = len(logging.Logger.manager.loggerDict)
    for _ in range(10):
        InvocationLoggerAdapter(uuid.uuid4())
    assert len(logging.Logger.manager.loggerDict) == before
