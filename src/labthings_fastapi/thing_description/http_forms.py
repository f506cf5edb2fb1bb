"""The forms of the HTTP binding; pure."""

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

    The order matters, because some clients use the first form that matches.
    """

    def thing_forms(self, thing: DescribedThing, path: str) -> Forms:
        """Return forms for several properties, all invocations and all events."""
        forms: Forms = []
        properties = thing.property_descriptors.values()
        if properties:
            href = f"{path}properties"
            forms.append(form(href, "readallproperties", method="GET"))
            if not all(descriptor.readonly for descriptor in properties):
                forms.append(form(href, "writemultipleproperties", method="PUT"))
            if any(descriptor.is_observable for descriptor in properties):
                forms += _subscribe(href, "observeallproperties", "unobserveallproperties")
        if thing.action_descriptors:
            forms.append(form(f"{path}actions", "queryallactions", method="GET"))
        if thing.event_descriptors:
            forms += _subscribe(f"{path}events", "subscribeallevents", "unsubscribeallevents")
        return forms

    def property_forms(self, descriptor: DescribedProperty, path: str) -> Forms:
        """Return forms to read, write and observe, as far as the property allows it."""
        href = affordance_path(path, descriptor.name)
        forms = [form(href, "readproperty", method="GET")]
        if not descriptor.readonly:
            forms.append(form(href, "writeproperty", method="PUT"))
        if descriptor.is_observable:
            forms += _subscribe(href, "observeproperty", "unobserveproperty")
        return forms

    def action_forms(self, descriptor: DescribedAction, path: str) -> Forms:
        """Return forms to invoke, and to query or cancel an invocation by its id."""
        href = affordance_path(path, descriptor.name)
        return [
            form(href, "invokeaction", method="POST"),
            form(f"{href}/{{actionID}}", "queryaction", method="GET"),
            form(f"{href}/{{actionID}}", "cancelaction", method="DELETE"),
        ]

    def event_forms(self, descriptor: DescribedEvent, path: str) -> Forms:
        """Return forms to subscribe by long polling or server-sent events."""
        href = affordance_path(path, descriptor.name)
        return _subscribe(href, "subscribeevent", "unsubscribeevent")


def _subscribe(href: str, begin: str, end: str) -> Forms:
    """Return a form for long polling and one for server-sent events.

    The form of the stream has no operation to end it, because the client closes the stream. The
    form for long polling names no method, because node-wot would also use it for its first HEAD
    request.
    """
    return [
        form(f"{href}?observe=longpoll", [begin, end], subprotocol="longpoll"),
        form(href, begin, content_type="text/event-stream", subprotocol="sse", method="GET"),
    ]
