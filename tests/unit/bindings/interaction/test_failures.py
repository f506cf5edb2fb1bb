"""Errors become problem details."""

from __future__ import annotations

import json
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from labthings_fastapi.bindings.interaction.failures import (
    InvalidMembers,
    ReportedFailure,
    interaction_problem,
)
from labthings_fastapi.concurrency.bounded_executor import UserCodeExit
from labthings_fastapi.exceptions import InvocationNotFoundError


def invalid(kind, text):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_json(text)
    return caught.value


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (invalid(int, b"{"), 400, "Speed: the body is not JSON"),
        (invalid(int, b'"x"'), 422, "Speed: "),
        (InvalidMembers([{"loc": ("a", "x"), "msg": "no", "type": "t"}]), 422, "a.x: no"),
        (ReportedFailure("Level", invalid(int, b'"x"')), 500, "Level: ValidationError"),
        (ReportedFailure("Level", OSError("off")), 500, "Level: OSError: off"),
        (UserCodeExit(SystemExit(1)), 500, "SystemExit: 1"),
        (InvocationNotFoundError("x"), 404, "There is no invocation"),
    ],
)
def test_an_error_becomes_a_problem(error, status, detail):
    problem = interaction_problem(error, "Speed", "/stage/speed")
    assert problem.status == status
    assert detail in problem.detail
    assert json.loads(problem.body())["instance"] == "/stage/speed"


def test_a_full_disk_in_user_code_is_still_status_507():
    import errno

    if sys.platform == "win32":
        pytest.skip("ENOSPC has another number")
    error = ReportedFailure("Log", OSError(errno.ENOSPC, "full"))
    assert interaction_problem(error, "Log", "/x").status == 507
