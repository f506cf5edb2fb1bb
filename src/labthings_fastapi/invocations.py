"""How a run looks on the wire: documented names for what `actions` holds."""

from labthings_fastapi.actions.invocation_model import (
    GenericInvocationModel,
    InvocationModel,
    InvocationStatus,
    LogRecordModel,
)

__all__ = ["GenericInvocationModel", "InvocationModel", "InvocationStatus", "LogRecordModel"]
