"""The invocation that the running code belongs to: documented names, defined in `actions`."""

from labthings_fastapi.actions.cancellation import CancelEvent
from labthings_fastapi.actions.context import (
    cancellable_sleep,
    fake_invocation_context,
    get_cancel_event,
    get_invocation_directory,
    get_invocation_id,
    raise_if_cancelled,
    set_invocation_id,
    shield,
)
from labthings_fastapi.actions.threads import ThreadWithInvocationID
from labthings_fastapi.exceptions import NoInvocationContextError

__all__ = [
    "CancelEvent",
    "NoInvocationContextError",
    "ThreadWithInvocationID",
    "cancellable_sleep",
    "fake_invocation_context",
    "get_cancel_event",
    "get_invocation_directory",
    "get_invocation_id",
    "raise_if_cancelled",
    "set_invocation_id",
    "shield",
]
