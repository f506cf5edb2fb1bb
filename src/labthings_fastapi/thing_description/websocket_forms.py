"""The forms of the WebSocket binding; pure."""

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
    """Return an HTTP URL with the scheme of WebSockets: `ws` for `http`, `wss` for `https`."""
    return f"ws{url.removeprefix('http')}" if url.startswith(("http:", "https:")) else url


class WebSocketForms:
    """Writes the forms of the WebSocket binding; `path` is the URL of a Thing.

    All operations of a Thing share one socket. Its URL needs a scheme, so a relative `path` gives
    no forms.
    """

    def thing_forms(self, thing: DescribedThing, path: str) -> Forms:
        """Return forms for several properties, all invocations and all events."""
        operations: list[str] = []
        properties = thing.property_descriptors.values()
        if properties:
            operations += ["readallproperties", "readmultipleproperties"]
            if not all(descriptor.readonly for descriptor in properties):
                operations += ["writeallproperties", "writemultipleproperties"]
            if any(descriptor.is_observable for descriptor in properties):
                operations += ["observeallproperties", "unobserveallproperties"]
        if thing.action_descriptors:
            operations.append("queryallactions")
        if thing.event_descriptors:
            operations += ["subscribeallevents", "unsubscribeallevents"]
        return _socket(path, operations)

    def property_forms(self, descriptor: DescribedProperty, path: str) -> Forms:
        """Return a form to read, write and observe, as far as the property allows it."""
        operations = ["readproperty"]
        if not descriptor.readonly:
            operations.append("writeproperty")
        if descriptor.is_observable:
            operations += ["observeproperty", "unobserveproperty"]
        return _socket(path, operations)

    def action_forms(self, descriptor: DescribedAction, path: str) -> Forms:
        """Return a form to invoke, query and cancel; messages name the invocation.

        A synchronous action can only be invoked: nothing tells the id of its invocation.
        """
        if descriptor.synchronous:
            return _socket(path, ["invokeaction"])
        return _socket(path, ["invokeaction", "queryaction", "cancelaction"])

    def event_forms(self, _descriptor: DescribedEvent, path: str) -> Forms:
        """Return a form to subscribe and unsubscribe."""
        return _socket(path, ["subscribeevent", "unsubscribeevent"])


def _socket(path: str, operations: Sequence[str]) -> Forms:
    url = websocket_url(path)
    if url == path or not operations:
        return []
    return [form(f"{url}ws", operations, subprotocol=SUBPROTOCOL)]
