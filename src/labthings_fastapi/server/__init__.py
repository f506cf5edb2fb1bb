"""The house: wires Things, runs and bindings into one server."""

from .server import ThingServer

__all__ = ["ThingServer"]
