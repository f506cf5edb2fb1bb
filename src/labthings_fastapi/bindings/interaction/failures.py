"""Errors of reading, writing and invoking, as problem details for clients."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import from_json
from starlette.exceptions import HTTPException

from labthings_fastapi.concurrency.bounded_executor import UserCodeExit
from labthings_fastapi.exceptions import (
    InvalidReadingError,
    LabThingsError,
    MalformedBodyError,
    describe_exception,
)
from labthings_fastapi.problems import (
    Problem,
    message_problem,
    problem_from,
    validation_problem,
    well_formed,
)
from labthings_fastapi.routes import problem_of
from labthings_fastapi.schemas.invalid_values import error_text

if TYPE_CHECKING:
    from collections.abc import Mapping


class ReportedFailure(Exception):  # noqa: N818 - carries an error that has been logged
    """Wraps an error of a Thing's code that has been logged on the Thing's logger."""

    def __init__(self, affordance: str, raised: BaseException) -> None:
        """Keep the error and the name of the affordance for people."""
        super().__init__(type(raised).__name__)
        self.affordance = affordance
        self.raised = raised


class SetterRefusal(ReportedFailure):
    """A setter refused the value of a client with a ValueError; its words are for the client."""

    def problem(self, instance: str) -> Problem:
        """Return the problem: the value is not valid."""
        words = describe_exception(self.raised)
        name = type(self.raised).__name__
        words = well_formed(words.removeprefix(f"{name}: "))
        errors = [{"loc": [], "msg": words, "type": "refused_by_setter"}]
        return validation_problem(errors, self.affordance, instance=instance)


class InvalidMembers(Exception):  # noqa: N818 - carries several ValidationErrors
    """Members of a JSON object are not valid; `errors` lists all errors as pydantic does."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        """Keep the errors; the first part of each `loc` is the name of the member."""
        super().__init__(f"{len(errors)} errors")
        self.errors = errors


class PartialReading(Exception):  # noqa: N818 - carries values as well as errors
    """Some of several properties could not be read."""

    def __init__(self, values: bytes, failures: Mapping[str, tuple[str, Exception]]) -> None:
        """Keep the values of the others as a JSON object, and name → (label, error)."""
        super().__init__(", ".join(failures))
        self.values = values
        self.failures = failures
        first = next(iter(failures.values()))[1]
        self.raised: BaseException = getattr(first, "raised", first)

    def problem(self, instance: str) -> Problem:
        """Return one problem for all failures, with `values` and, for each failure, an error."""
        problems = {
            name: interaction_problem(error, label, instance)
            for name, (label, error) in self.failures.items()
        }
        first = next(iter(problems.values()))
        kinds = {(each.status, each.type) for each in problems.values()}
        if len(kinds) > 1:
            first = message_problem("failure", "Several properties could not be read", 500, "")
        errors = tuple(
            {"loc": [name], "msg": each.detail, "type": each.type}
            for name, each in problems.items()
        )
        return replace(
            first.at(instance),
            detail="; ".join(each.detail for each in problems.values()),
            errors=errors,
            extra={"values": from_json(self.values)},
        )


def interaction_problem(error: BaseException, affordance: str, instance: str) -> Problem:
    """Return the problem for an error that a handler raised.

    `affordance` names the subject for people, as in `Property 'x' of Thing 'stage'`; `instance` is
    the path of the request.
    """
    if isinstance(error, UserCodeExit):
        error = error.raised
    if isinstance(error, PartialReading):
        return error.problem(instance)
    if isinstance(error, SetterRefusal):
        return error.problem(instance)
    if isinstance(error, ReportedFailure):
        # An error of the Thing, never of the client: a ValidationError in a getter is not a 422.
        problem = problem_from(error.raised, instance=instance)
        if isinstance(error.raised, InvalidReadingError):
            return problem  # it names the property
        return replace(problem, detail=f"{error.affordance}: {problem.detail}")
    if isinstance(error, HTTPException):
        return problem_of(error, instance)
    if isinstance(error, InvalidMembers):
        return _invalid(error.errors, affordance, instance)
    if isinstance(error, ValidationError):
        errors = error.errors(include_url=False, include_context=False)
        if errors[0]["type"] == "json_invalid":
            malformed = MalformedBodyError(
                f"{affordance}: the body is not JSON: {errors[0]['msg']}"
            )
            return problem_from(malformed, instance=instance)
        return _invalid([dict(item) for item in errors], affordance, instance)
    return problem_from(error, instance=instance)


def _invalid(errors: list[dict[str, Any]], affordance: str, instance: str) -> Problem:
    """Return the problem for values that do not fit, with the first of them in its detail."""
    problem = validation_problem(errors, affordance, instance=instance)
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    detail = well_formed(f"{affordance}: {error_text(errors[0])}{more}")
    return replace(problem, detail=detail)


def not_observable(affordance: str) -> Problem:
    """Return the problem for observing a property that publishes no changes."""
    return message_problem(
        "not-observable",
        "The property cannot be observed",
        406,
        f"{affordance} does not publish its changes: read it instead, or declare it with "
        "`observable=True`.",
    )


def with_traceback(problem: Problem, error: BaseException) -> Problem:
    """Add the member `traceback` to a problem of status 500; for a server in debug mode."""
    raised = getattr(error, "raised", error)
    if problem.status != 500:
        return problem
    lines = traceback.format_exception(raised)
    return replace(problem, extra={**problem.extra, "traceback": well_formed("".join(lines))})


def is_expected(error: BaseException) -> bool:
    """Whether the server's own log needs no entry: the error is an answer, or has been logged."""
    return isinstance(
        error,
        (
            LabThingsError,
            ValidationError,
            InvalidMembers,
            ReportedFailure,
            PartialReading,
            HTTPException,
        ),
    )
