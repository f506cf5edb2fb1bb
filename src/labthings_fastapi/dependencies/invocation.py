"""Dependencies for the parameters of an action: the invocation's id, cancel hook and logger.

`lt.cancellable_sleep`, `lt.raise_if_cancelled` and `thing.logger` do the same without a parameter.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends

from labthings_fastapi.actions.cancellation import CancelEvent
from labthings_fastapi.actions.context import INVOCATION_MEMBER, InvocationContext
from labthings_fastapi.actions.logs import invocations_logger
from labthings_fastapi.exceptions import InvocationCancelledError


def invocation_id() -> UUID:
    """Return a new id; FastAPI calls this once for each request."""
    return uuid4()


InvocationID = Annotated[UUID, Depends(invocation_id)]
"""The id of the invocation."""


def invocation_cancel_hook(id: InvocationID) -> CancelEvent:
    """Return the cancel event of the invocation that this request starts."""
    return CancelEvent.get_for_id(id)


CancelHook = Annotated[CancelEvent, Depends(invocation_cancel_hook)]
"""`cancel.sleep(seconds)` and `cancel.raise_if_set()` raise when a client cancels."""


class InvocationLoggerAdapter(logging.LoggerAdapter[logging.Logger]):
    """Logs into one invocation, from any thread.

    All invocations share one logger, because Python never frees loggers.
    """

    def __init__(self, id: UUID) -> None:
        """Log into the invocation with this id, once it has started."""
        super().__init__(invocations_logger())
        self.id = id
        self._invocation: InvocationContext | None = None

    def enter_invocation(self, invocation: InvocationContext) -> None:
        """Set the invocation; called just before the action's function."""
        self._invocation = invocation

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the invocation to the record."""
        if self._invocation is not None:
            kwargs["extra"] = {**(kwargs.get("extra") or {}), INVOCATION_MEMBER: self._invocation}
        return msg, kwargs


def invocation_logger(id: InvocationID) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger whose records belong to the invocation."""
    return InvocationLoggerAdapter(id)


InvocationLogger = Annotated[logging.LoggerAdapter[logging.Logger], Depends(invocation_logger)]
"""A logger whose records belong to the invocation."""

__all__ = [
    "CancelEvent",
    "CancelHook",
    "InvocationCancelledError",
    "InvocationID",
    "InvocationLogger",
]
