"""Log records and runs: the documented names for what `actions` holds."""

from labthings_fastapi.actions.logs import (
    THINGS_LOGGER,
    DequeLogHandler,
    get_thing_logger,
    inject_invocation_id,
)

__all__ = ["THINGS_LOGGER", "DequeLogHandler", "get_thing_logger", "inject_invocation_id"]
