"""Wires Things, invocations and bindings into one server."""

from .server import ThingServer

__all__ = ["ThingServer"]
