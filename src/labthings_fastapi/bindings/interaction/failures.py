"""What goes wrong when a Thing is used, as the problem that a client is told of."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException

from labthings_fastapi.concurrency.bounded_executor import UserCodeExit
from labthings_fastapi.exceptions import LabThingsError, MalformedBodyError
from labthings_fastapi.problems import (
    Problem,
    message_problem,
    problem_from,
    validation_problem,
    well_formed,
)
from labthings_fastapi.routes import problem_of as framework_problem


class ReportedFailure(Exception):  # noqa: N818 - carries an error that has been logged
    """Wraps an error of a Thing's code that is in the Thing's log already."""

    def __init__(self, what: str, raised: BaseException) -> None:
        """Keep the error, and of what affordance the code is."""
        super().__init__(type(raised).__name__)
        self.what = what
        self.raised = raised


class InvalidMembers(Exception):  # noqa: N818 - carries what several ValidationErrors found
    """Members of a JSON object are not valid; `found` lists all mistakes as pydantic does."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        """Keep the mistakes; the first part of each `loc` is the member's name."""
        super().__init__(f"{len(found)} mistakes")
        self.found = found


def problem_of(error: BaseException, what: str, instance: str) -> Problem:
    """Render what a handler raised; `what` names the affordance for people."""
    if isinstance(error, UserCodeExit):
        error = error.raised
    if isinstance(error, ReportedFailure):
        # Not a mistake of the client, whatever it is: a getter's own ValidationError is no 422.
        problem = problem_from(error.raised, instance=instance)
        return replace(problem, detail=f"{error.what}: {problem.detail}")
    if isinstance(error, HTTPException):
        return framework_problem(error, instance)
    if isinstance(error, InvalidMembers):
        return validation_problem(error.found, what, instance=instance)
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            malformed = MalformedBodyError(f"{what}: the body is not JSON: {found[0]['msg']}")
            return problem_from(malformed, instance=instance)
        return validation_problem([dict(item) for item in found], what, instance=instance)
    return problem_from(error, instance=instance)


def not_observable(what: str) -> Problem:
    """Refuse to let a client wait in vain for a property that does not tell of its changes."""
    return message_problem(
        "not-observable",
        "The property cannot be observed",
        406,
        f"{what} does not tell of its changes: read it instead, or declare it with "
        "`observable=True`.",
    )


def with_traceback(problem: Problem, error: BaseException) -> Problem:
    """Add the traceback of a failure to a problem, as the member `traceback`; for debugging."""
    raised = getattr(error, "raised", error)
    if problem.status != 500:
        return problem
    lines = traceback.format_exception(raised)
    return replace(problem, extra={**problem.extra, "traceback": well_formed("".join(lines))})


def is_expected(error: BaseException) -> bool:
    """Whether an error needs no entry in the server's own log: it is an answer, or logged."""
    return isinstance(
        error, (LabThingsError, ValidationError, InvalidMembers, ReportedFailure, HTTPException)
    )
