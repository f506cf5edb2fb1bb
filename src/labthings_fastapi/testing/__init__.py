"""Helpers for testing Things."""

from .things import (
    create_thing_without_server,
    manually_connect_thing_slot,
    mock_thing_instance,
    use_dummy_url_for,
)

__all__ = [
    "create_thing_without_server",
    "manually_connect_thing_slot",
    "mock_thing_instance",
    "use_dummy_url_for",
]
