"""Invocations as clients see them: documented names, defined in `actions`."""

from labthings_fastapi.actions.invocation_model import (
    GenericInvocationModel,
    InvocationModel,
    InvocationStatus,
    LogRecordModel,
)

__all__ = ["GenericInvocationModel", "InvocationModel", "InvocationStatus", "LogRecordModel"]
