"""The forms by which a Thing Description says how Things are reached over HTTP; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .forms import form
from .paths import affordance_path

if TYPE_CHECKING:
    from .protocols import (
        DescribedAction,
        DescribedEvent,
        DescribedProperty,
        DescribedThing,
    )

Forms = list[dict[str, Any]]


class HttpForms:
    """Writes the forms of the HTTP binding; `path` is the URL of a Thing, with a slash at its end.

    Some clients take the first form that matches, so the order matters.
    """

    def thing_forms(self, thing: DescribedThing, path: str) -> Forms:
        """Read, write and observe several properties, list all runs, hear of all events."""
        found: Forms = []
        properties = thing.property_descriptors.values()
        if properties:
            href = f"{path}properties"
            found.append(form(href, "readallproperties", method="GET"))
            if not all(descriptor.readonly for descriptor in properties):
                found.append(form(href, "writemultipleproperties", method="PUT"))
            if any(descriptor.is_observable for descriptor in properties):
                found += _following(href, "observeallproperties", "unobserveallproperties")
        if thing.action_descriptors:
            found.append(form(f"{path}actions", "queryallactions", method="GET"))
        if thing.event_descriptors:
            found += _following(f"{path}events", "subscribeallevents", "unsubscribeallevents")
        return found

    def property_forms(self, descriptor: DescribedProperty, path: str) -> Forms:
        """Read; write unless the property is read-only; observe if it tells of its changes."""
        href = affordance_path(path, descriptor.name)
        found = [form(href, "readproperty", method="GET")]
        if not descriptor.readonly:
            found.append(form(href, "writeproperty", method="PUT"))
        if descriptor.is_observable:
            found += _following(href, "observeproperty", "unobserveproperty")
        return found

    def action_forms(self, descriptor: DescribedAction, path: str) -> Forms:
        """Invoke, and query or cancel one run by its id."""
        href = affordance_path(path, descriptor.name)
        return [
            form(href, "invokeaction", method="POST"),
            form(f"{href}/{{actionID}}", "queryaction", method="GET"),
            form(f"{href}/{{actionID}}", "cancelaction", method="DELETE"),
        ]

    def event_forms(self, descriptor: DescribedEvent, path: str) -> Forms:
        """Subscribe by long polling or server-sent events."""
        href = affordance_path(path, descriptor.name)
        return _following(href, "subscribeevent", "unsubscribeevent")


def _following(href: str, begin: str, end: str) -> Forms:
    """Long polling first; to end a stream, a client closes it, so that form only begins.

    Long polling names no method: node-wot would use it for the HEAD as well that it begins with.
    """
    return [
        form(f"{href}?observe=longpoll", [begin, end], subprotocol="longpoll"),
        form(href, begin, content_type="text/event-stream", subprotocol="sse", method="GET"),
    ]
