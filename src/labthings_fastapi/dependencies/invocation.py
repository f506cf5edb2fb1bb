"""What an action can have injected: its run's id, cancel hook and logger.

They are handles of the same run as `lt.cancellable_sleep`, `lt.raise_if_cancelled` and
`thing.logger`; those need no parameter and also work deep in a call stack.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends

from labthings_fastapi.actions.cancellation import CancelEvent
from labthings_fastapi.actions.context import INVOCATION_MEMBER, InvocationContext
from labthings_fastapi.actions.logs import INVOCATIONS_LOGGER
from labthings_fastapi.exceptions import InvocationCancelledError


def invocation_id() -> UUID:
    """Return a fresh id; FastAPI makes it once for each request."""
    return uuid4()


InvocationID = Annotated[UUID, Depends(invocation_id)]
"""The id of the run."""


def invocation_cancel_hook(id: InvocationID) -> CancelEvent:
    """Return the cancel event of the run that this request starts."""
    return CancelEvent(id)


CancelHook = Annotated[CancelEvent, Depends(invocation_cancel_hook)]
"""`cancel.sleep(seconds)` and `cancel.raise_if_set()` stop the run when a client cancels it."""


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs into one run, also from threads that do not know which run they belong to.

    One logger serves all runs: Python never frees loggers.
    """

    def __init__(self, id: UUID) -> None:
        """Log into the run with this id, once it has begun."""
        super().__init__(logging.getLogger(INVOCATIONS_LOGGER))
        self.id = id
        self._run: InvocationContext | None = None

    def enter_invocation(self, invocation: InvocationContext) -> None:
        """Learn the run, just before the action's function is called."""
        self._run = invocation

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Name the run in the record."""
        if self._run is not None:
            kwargs["extra"] = {**(kwargs.get("extra") or {}), INVOCATION_MEMBER: self._run}
        return msg, kwargs


def invocation_logger(id: InvocationID) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger whose records belong to the run."""
    return RunLogger(id)


InvocationLogger = Annotated[logging.LoggerAdapter[logging.Logger], Depends(invocation_logger)]
"""A logger whose records belong to the run."""

__all__ = [
    "CancelEvent",
    "CancelHook",
    "InvocationCancelledError",
    "InvocationID",
    "InvocationLogger",
]
