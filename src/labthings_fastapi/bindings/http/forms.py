"""The forms by which a Thing Description says how Things are reached over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labthings_fastapi.thing_description.forms import form

if TYPE_CHECKING:
    from labthings_fastapi.bindings.binding import Forms
    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.descriptors.property import BaseProperty
    from labthings_fastapi.thing import Thing


class HttpForms:
    """Writes the forms of the HTTP binding; pure, so any thread may use it."""

    def thing_forms(self, thing: Thing, base: str) -> Forms:
        """Read all and write several properties, and list all runs."""
        found = []
        if thing.properties:
            href = f"{base}{thing.path}properties"
            found.append(form(href, "readallproperties", method="GET"))
            found.append(form(href, "writemultipleproperties", method="PUT"))
        if thing.actions:
            found.append(form(f"{base}{thing.path}actions", "queryallactions", method="GET"))
        return found

    def property_forms(self, thing: Thing, descriptor: BaseProperty[Any], base: str) -> Forms:
        """Read, and write unless the property is read-only."""
        href = f"{base}{thing.path}{descriptor.name}"
        found = [form(href, "readproperty", method="GET")]
        if not descriptor.readonly:
            found.append(form(href, "writeproperty", method="PUT"))
        return found

    def action_forms(
        self, thing: Thing, descriptor: ActionDescriptor[Any, Any, Any], base: str
    ) -> Forms:
        """Invoke, and query or cancel one run by its id."""
        href = f"{base}{thing.path}{descriptor.name}"
        return [
            form(href, "invokeaction", method="POST"),
            form(f"{href}/{{actionID}}", "queryaction", method="GET"),
            form(f"{href}/{{actionID}}", "cancelaction", method="DELETE"),
        ]
