"""Whether a property can be read, so that those who follow it are told when that changes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from labthings_fastapi.exceptions import (
    ActionBusyError,
    InvalidReadingError,
    InvocationCancelledError,
    ThingBusyError,
    TooBusyError,
)
from labthings_fastapi.messages.message import Message
from labthings_fastapi.problems import problem_from
from labthings_fastapi.thing_description.paths import name_of

_NO_FAILURE = (ThingBusyError, ActionBusyError, TooBusyError, InvocationCancelledError)
"""Another one uses the Thing, or the run that reads is cancelled."""


@dataclass(frozen=True, slots=True)
class FailedReading:
    """Why a property cannot be read, as problem details, and since when."""

    problem: dict[str, Any]
    since: datetime


class ReadingState:
    """Whether one property of one Thing can be read; any thread may use it.

    A getter may run in several threads at once: with `shared=False`, and because Python code may
    read at any time.
    """

    def __init__(self, thing: Any, name: str, *, followed: bool) -> None:
        """Begin with a property that can be read; `followed`: clients can observe it."""
        self._thing = thing
        self._name = name
        self._followed = followed
        self._lock = threading.Lock()  # guards the next; publishing never blocks
        self._failure: FailedReading | None = None

    @property
    def failure(self) -> FailedReading | None:
        """Why the last reading failed; None if it did not."""
        return self._failure

    def worked(self) -> bool:
        """Note that a reading has worked; return whether those that follow must be told.

        True once after each failure of a property that can be observed.
        """
        if self._failure is None:  # the usual case
            return False
        with self._lock:
            failed_before, self._failure = self._failure is not None, None
        return failed_before and self._followed

    def failed(self, error: BaseException) -> None:
        """Note why it cannot be read; followers are told of the first of several failures."""
        if isinstance(error, _NO_FAILURE):
            return
        now = datetime.now(UTC)
        problem = self._problem(error)
        with self._lock:
            before = self._failure
            since = now if before is None else before.since
            self._failure = FailedReading(problem, since)
        if before is None and self._followed:
            self._publish(problem, now)

    def _problem(self, error: BaseException) -> dict[str, Any]:
        problem = problem_from(error)
        if not isinstance(error, InvalidReadingError):  # which names the property
            label = f"Property {self._name!r} of Thing {name_of(self._thing)!r}"
            problem = replace(problem, detail=f"{label}: {problem.detail}")
        return problem.members()

    def _publish(self, problem: dict[str, Any], now: datetime) -> None:
        members = {"name": self._name, "error": problem, "timestamp": now.isoformat()}
        payload = to_json(members, inf_nan_mode="strings")
        message = Message("reading-failed", name_of(self._thing), self._name, payload, time=now)
        self._thing._thing_server_interface.publish(message)
