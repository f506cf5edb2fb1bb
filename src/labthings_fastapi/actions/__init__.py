"""Runs of actions: the part of the API that is a contract."""

from .invocation import Invocation
from .invocation_model import ACTION_INVOCATIONS_PATH, InvocationModel, InvocationStatus
from .logs import DequeLogHandler
from .manager import ActionManager

__all__ = [
    "ACTION_INVOCATIONS_PATH",
    "ActionManager",
    "DequeLogHandler",
    "Invocation",
    "InvocationModel",
    "InvocationStatus",
]
