"""What a server answered, as the exception that a person should see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from labthings_fastapi.exceptions import (
    ClientError,
    ClientPropertyError,
    FailedToInvokeActionError,
    GlobalLockBusyError,
    InvocationCancelledError,
    RefusedError,
    ServerActionError,
)

from .steps import Answer

_LOCKED, CANCELLED = "urn:labthings:problem:locked", "urn:labthings:problem:cancelled"
ACTION_FAILED = "urn:labthings:problem:action-failed"
_SHOWN = 500  # characters of a body that is no problem


def problem_of(answer: Answer) -> dict[str, Any]:
    """Return the problem details of an answer; of another body, its beginning as the detail."""
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and ("detail" in found or "title" in found):
        detail = found.get("detail")
        if isinstance(detail, list):  # as FastAPI writes errors of validation
            return {**found, "errors": detail, "detail": "The input is not valid."}
        return found
    text = answer.body[:_SHOWN].decode("utf-8", "replace").strip()
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "unknown status"
    return {"status": answer.status, "detail": f"{answer.status} {phrase}. {text}".strip()}


def _errors(problem: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    errors = problem.get("errors")
    return (
        [each for each in errors if isinstance(each, Mapping)] if isinstance(errors, list) else []
    )


def _detail(problem: Mapping[str, Any]) -> str:
    return str(problem.get("detail") or problem.get("title") or "no reason given")


def _refusal(answer: Answer, problem: Mapping[str, Any], what: str) -> ClientError | None:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return RefusedError(
            f"{what}: the server wants to know who asks. Give a token, as in "
            "`lt.connect(url, token=...)`, in LABTHINGS_TOKEN, or by `labthings login`. "
            f"{_detail(problem)}",
            problem=problem,
        )
    if answer.status == HTTPStatus.FORBIDDEN:
        return RefusedError(f"{what}: {_detail(problem)}", problem=problem)
    return None


def property_error(answer: Answer, verb: str, name: str) -> Exception:
    """Return the error of a property that could not be read ("get") or written ("set")."""
    problem = problem_of(answer)
    errors = _errors(problem) if verb == "set" else []
    text = str(errors[0].get("msg") or _detail(problem)) if errors else _detail(problem)
    message = f"Failed to {verb} property {name}: {text}"
    refused = _refusal(answer, problem, message.partition(":")[0])
    if refused is not None:
        return refused
    if problem.get("type") == _LOCKED:
        return GlobalLockBusyError(message)
    return ClientPropertyError(message, problem=problem)


def invoke_error(answer: Answer, name: str) -> Exception:
    """Return the error of an action that was not started."""
    problem = problem_of(answer)
    what = f"Error when invoking action {name}"
    refused = _refusal(answer, problem, what)
    if refused is not None:
        return refused
    errors = _errors(problem)
    if errors:
        parts = "; ".join(
            f"'{'.'.join(map(str, each.get('loc', ())))}' - {each.get('msg')}" for each in errors
        )
        return FailedToInvokeActionError(f"{what}: {parts}", problem=problem)
    message = f"{what}: {_detail(problem)}"
    if problem.get("type") == _LOCKED:
        return GlobalLockBusyError(message)
    return FailedToInvokeActionError(message, problem=problem)


def request_error(answer: Answer, what: str) -> ClientError:
    """Return the error of any other request; `what` says what was asked."""
    problem = problem_of(answer)
    refused = _refusal(answer, problem, what)
    return refused or ClientError(f"{what}: {_detail(problem)}", problem=problem)


def run_error(name: str, id: str | None, members: Mapping[str, Any]) -> BaseException | None:
    """Return the error of a run that has ended, from its status; None if it completed."""
    status = members.get("status")
    error = members.get("error")
    problem: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    if status == "cancelled" or problem.get("type") == CANCELLED:
        return InvocationCancelledError(f"{_run_name(name, id)} was cancelled.")
    if status not in ("error", "failed"):
        return None
    lines = log_lines(members.get("log"))
    if problem:
        title = problem.get("title") or problem.get("exception") or "error"
        text = f"[{title}]: {_detail(problem)}"
    else:  # servers before 1.0 tell it in the log alone
        text = lines[-1] if lines else "The server gives no reason."
    message = f"{_run_name(name, id)} failed with error:\n{text}"
    traceback = _traceback(members.get("log"))
    if traceback:
        message += f"\nSERVER TRACEBACK START:\n{traceback}\nSERVER TRACEBACK END"
    if problem.get("type") == _LOCKED:
        return GlobalLockBusyError(message)
    return ServerActionError(message, problem=problem, invocation_id=id, log=lines)


def _run_name(name: str, id: str | None) -> str:
    return f"Action {name}" if id is None else f"Action {name} (ID: {id})"


def log_lines(log: Any) -> list[str]:
    """Return the lines of a run's log as texts."""
    entries: Sequence[Any] = log if isinstance(log, list) else ()
    return [
        f"{each.get('levelname', '')}: {each.get('message', '')}"
        for each in entries
        if isinstance(each, Mapping)
    ]


def _traceback(log: Any) -> str | None:
    for each in reversed(log if isinstance(log, list) else []):
        found = each.get("traceback") if isinstance(each, Mapping) else None
        if isinstance(found, str) and found:
            return found
    return None
