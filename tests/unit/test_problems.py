"""Errors as problem details: one table, and no message of an error can break it."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import uuid

import pytest
from pydantic import BaseModel, ValidationError

from labthings_fastapi import exceptions as errors
from labthings_fastapi.problems import (
    TYPE_PREFIX,
    Problem,
    message_problem,
    problem_for_status,
    problem_from,
    status_of,
    validation_problem,
    well_formed,
)

ID = uuid.uuid4()


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class HostileCancel(errors.InvocationCancelledError):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (errors.InvocationNotFoundError(ID), 404, "invocation-not-found"),
        (errors.InvocationFinishedError(ID, "completed"), 409, "already-finished"),
        (errors.NoOutputError(ID, "error"), 409, "no-output"),
        (errors.OutputNotReadyError(ID, "running"), 503, "not-finished"),
        (errors.ThingNotFoundError("x"), 404, "thing-not-found"),
        (errors.InvocationCancelledError("x"), 500, "cancelled"),
        (errors.MalformedBodyError("x"), 400, "malformed-body"),
        (ValueError("x"), 500, "failure"),
        (SystemExit(3), 500, "failure"),
        (OSError(errno.ENOSPC, "full"), 507, "no-space"),
    ],
)
def test_an_error_has_one_status_and_type(error: BaseException, status: int, slug: str) -> None:
    problem = problem_from(error)
    assert (problem.status, problem.type) == (status, TYPE_PREFIX + slug)
    assert status_of(error) == status


def test_a_subclass_has_the_row_of_its_base() -> None:
    class MyError(errors.InvocationError):
        pass

    assert problem_from(MyError("x")).type == TYPE_PREFIX + "action-failed"


def test_a_setting_that_finds_no_space_is_507() -> None:
    error = errors.SettingsWriteError("not saved")
    error.__cause__ = OSError(errno.ENOSPC, "full")
    assert status_of(error) == 507
    error.__cause__ = OSError(errno.EACCES, "denied")
    assert status_of(error) == 500


def test_our_own_errors_have_a_message_and_others_also_their_class() -> None:
    assert problem_from(errors.InvocationError("Stage: jammed")).detail == "Stage: jammed"
    assert problem_from(ValueError("jammed")).detail == "ValueError: jammed"


def test_an_error_of_ours_without_text_gives_its_title() -> None:
    assert problem_from(errors.InvocationError()).detail == "The action failed"
    assert problem_from(HostileCancel()).detail == "The invocation was cancelled"


def test_an_error_whose_text_raises_is_named() -> None:
    assert "HostileError" in problem_from(HostileError()).detail


def test_a_detail_can_always_be_encoded() -> None:
    detail = problem_from(ValueError("half \ud800 a pair")).detail
    assert detail.encode() == b"ValueError: half \\ud800 a pair"


def test_well_formed_leaves_good_text_alone() -> None:
    assert well_formed("µm ☃ 𝄞") == "µm ☃ 𝄞"
    assert well_formed("\udfff") == "\\udfff"


def test_only_503_has_retry_after() -> None:
    assert problem_from(errors.TooBusyError("x")).headers == {"Retry-After": "1"}
    assert problem_from(errors.NoOutputError(ID, "error")).headers == {}
    assert message_problem("x", "X", 503, "x").headers == {"Retry-After": "1"}
    assert message_problem("x", "X", 500, "x").headers == {}


def test_members_without_a_value_are_left_out() -> None:
    assert problem_from(ValueError("x")).members() == {
        "type": TYPE_PREFIX + "failure",
        "title": "The code of the Thing failed",
        "status": 500,
        "detail": "ValueError: x",
    }


def test_extra_members_and_instance_are_included() -> None:
    problem = problem_from(ValueError("x"), instance="/a", exception="ValueError")
    assert problem.members()["instance"] == "/a"
    assert problem.members()["exception"] == "ValueError"


def test_a_problem_gets_the_path_of_the_request_unless_it_has_one() -> None:
    assert problem_from(ValueError("x")).at("/b").instance == "/b"
    assert problem_from(ValueError("x"), instance="/a").at("/b").instance == "/a"


def test_a_body_is_ascii_json_whatever_the_text() -> None:
    problem = Problem(500, "t", "t", "half \ud800")
    assert json.loads(problem.body())["detail"] == "half \ud800"


def test_a_bare_status_has_no_type_of_its_own() -> None:
    problem = problem_for_status(404)
    assert (problem.type, problem.title) == ("about:blank", "Not Found")
    assert problem.detail == "Not Found"


def test_a_status_that_no_standard_names_is_rendered_too() -> None:
    assert problem_for_status(599, "odd").members()["title"] == "Status 599"


def test_validation_lists_every_mistake_without_the_input() -> None:
    found = [
        {"loc": ("body", "a"), "msg": "too small", "type": "gt", "input": object()},
        {"loc": (), "msg": "odd", "type": "value_error"},
    ]
    problem = validation_problem(found, "The input is not valid", instance="/x")
    assert problem.status == 422
    assert problem.detail == "The input is not valid: body.a: too small (and 1 more)"
    assert list(problem.errors) == [
        {"loc": ["body", "a"], "msg": "too small", "type": "gt"},
        {"loc": [], "msg": "odd", "type": "value_error"},
    ]


def test_validation_that_names_nothing_still_has_a_sentence() -> None:
    assert validation_problem([], "The input is not valid").detail.endswith("invalid")


def test_a_problem_needs_no_exception() -> None:
    problem = message_problem("interrupted", "Interrupted", 500, "The server stopped.", run="x")
    assert problem.members()["type"] == TYPE_PREFIX + "interrupted"
    assert problem.members()["run"] == "x"


def test_problems_need_no_web_framework() -> None:
    code = "import labthings_fastapi.problems, sys; assert 'starlette' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_group_of_exceptions_names_its_causes_also_nested_ones():
    inner = ExceptionGroup("y", [OSError("no light"), ValueError("too far")])
    group = ExceptionGroup("axes failed", [ConnectionError("x does not answer"), inner])
    detail = problem_from(group).detail
    for cause in (
        "axes failed",
        "ConnectionError: x does not answer",
        "OSError: no light",
        "ValueError: too far",
    ):
        assert cause in detail


def test_a_large_group_names_some_causes_and_says_that_there_are_more():
    detail = problem_from(ExceptionGroup("all", [ValueError(f"n{i}") for i in range(1000)])).detail
    assert "n0" in detail
    assert detail.endswith("and more")
    assert len(detail) < 2000


def test_a_deep_group_names_its_cause():
    error = OSError("at the bottom")
    for _ in range(5000):
        error = ExceptionGroup("deeper", [error])
    assert "at the bottom" in problem_from(error).detail


def test_a_group_that_hides_its_members_names_them():
    class Hiding(ExceptionGroup):
        @property
        def exceptions(self):
            raise SystemExit

    assert "no light" in problem_from(Hiding("dark", [OSError("no light")])).detail


def test_the_address_of_pydantics_manual_is_left_out():
    class Point(BaseModel):
        x: int

    with pytest.raises(ValidationError) as caught:
        Point(x="far")
    text = errors.describe_exception(caught.value)
    assert "x" in text
    assert "'far'" in text
    assert "pydantic.dev" not in text
