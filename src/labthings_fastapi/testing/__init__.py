"""Helpers for testing Things."""

from typing import TYPE_CHECKING, Any

from .things import (
    create_thing_without_server,
    manually_connect_thing_slot,
    mock_thing_instance,
    use_dummy_url_for,
)

if TYPE_CHECKING:
    from .services import MockThingServerInterface

__all__ = [
    "MockThingServerInterface",
    "create_thing_without_server",
    "manually_connect_thing_slot",
    "mock_thing_instance",
    "use_dummy_url_for",
]


def __getattr__(name: str) -> Any:
    # Pytest loads this package with its plugin, so what is large is imported when it is used.
    if name == "MockThingServerInterface":
        from .services import MockThingServerInterface

        return MockThingServerInterface
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
