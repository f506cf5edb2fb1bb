"""The forms by which a Thing Description says how Things are reached over a WebSocket; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .forms import form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .protocols import (
        DescribedAction,
        DescribedEvent,
        DescribedProperty,
        DescribedThing,
    )

Forms = list[dict[str, Any]]

SUBPROTOCOL = "webthingprotocol"
"""The name of the W3C community's Web Thing Protocol in a handshake and in forms."""


def websocket_url(url: str) -> str:
    """Return a URL of HTTP with the scheme of WebSockets: `ws`, or `wss` where it was `https`."""
    return f"ws{url.removeprefix('http')}" if url.startswith(("http:", "https:")) else url


class WebSocketForms:
    """Writes the forms of the WebSocket binding; `path` is the URL of a Thing.

    All operations of a Thing share one socket. Its URL has a scheme of its own, so there are no
    forms where `path` is relative.
    """

    def thing_forms(self, thing: DescribedThing, path: str) -> Forms:
        """Read, write and observe several properties, list all runs, hear of all events."""
        operations: list[str] = []
        properties = thing.property_descriptors.values()
        if properties:
            operations += ["readallproperties", "readmultipleproperties"]
            if not all(descriptor.readonly for descriptor in properties):
                operations.append("writemultipleproperties")
            if any(descriptor.is_observable for descriptor in properties):
                operations += ["observeallproperties", "unobserveallproperties"]
        if thing.action_descriptors:
            operations.append("queryallactions")
        if thing.event_descriptors:
            operations += ["subscribeallevents", "unsubscribeallevents"]
        return _socket(path, operations)

    def property_forms(self, descriptor: DescribedProperty, path: str) -> Forms:
        """Read; write unless the property is read-only; observe if it tells of its changes."""
        operations = ["readproperty"]
        if not descriptor.readonly:
            operations.append("writeproperty")
        if descriptor.is_observable:
            operations += ["observeproperty", "unobserveproperty"]
        return _socket(path, operations)

    def action_forms(self, _descriptor: DescribedAction, path: str) -> Forms:
        """Invoke, query and cancel; a message says which run."""
        return _socket(path, ["invokeaction", "queryaction", "cancelaction"])

    def event_forms(self, _descriptor: DescribedEvent, path: str) -> Forms:
        """Subscribe, and end it again."""
        return _socket(path, ["subscribeevent", "unsubscribeevent"])


def _socket(path: str, operations: Sequence[str]) -> Forms:
    url = websocket_url(path)
    if url == path or not operations:
        return []
    return [form(f"{url}ws", operations, subprotocol=SUBPROTOCOL)]
