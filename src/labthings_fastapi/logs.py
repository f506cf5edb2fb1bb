"""Logs of Things and invocations: documented names, defined in `actions`."""

from labthings_fastapi.actions.logs import (
    THINGS_LOGGER,
    DequeLogHandler,
    get_thing_logger,
    inject_invocation_id,
)

THING_LOGGER = get_thing_logger()
"""The logger above those of all Things."""

__all__ = [
    "THINGS_LOGGER",
    "THING_LOGGER",
    "DequeLogHandler",
    "get_thing_logger",
    "inject_invocation_id",
]
