"""The forms by which a Thing Description says how Things are reached over HTTP; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .forms import form

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
        """Read all and write several properties, and list all runs."""
        found: Forms = []
        if thing.property_descriptors:
            href = f"{path}properties"
            found.append(form(href, "readallproperties", method="GET"))
            found.append(form(href, "writemultipleproperties", method="PUT"))
        if thing.action_descriptors:
            found.append(form(f"{path}actions", "queryallactions", method="GET"))
        return found

    def property_forms(self, descriptor: DescribedProperty, path: str) -> Forms:
        """Read, and write unless the property is read-only."""
        href = f"{path}{descriptor.name}"
        found = [form(href, "readproperty", method="GET")]
        if not descriptor.readonly:
            found.append(form(href, "writeproperty", method="PUT"))
        return found

    def action_forms(self, descriptor: DescribedAction, path: str) -> Forms:
        """Invoke, and query or cancel one run by its id."""
        href = f"{path}{descriptor.name}"
        return [
            form(href, "invokeaction", method="POST"),
            form(f"{href}/{{actionID}}", "queryaction", method="GET"),
            form(f"{href}/{{actionID}}", "cancelaction", method="DELETE"),
        ]

    def event_forms(self, descriptor: DescribedEvent, path: str) -> Forms:
        """Subscribe by server-sent events."""
        return [
            form(
                f"{path}{descriptor.name}",
                ["subscribeevent", "unsubscribeevent"],
                content_type="text/event-stream",
                subprotocol="sse",
                method="GET",
            )
        ]
