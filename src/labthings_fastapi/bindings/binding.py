"""The port through which Things are offered in a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.descriptors.property import BaseProperty
    from labthings_fastapi.thing import Thing

Forms = list[dict[str, Any]]


class Binding(Protocol):
    """Offers Things in one protocol and writes the forms that say how to reach them.

    `base` is what absolute URLs begin with, or empty. Forms come in the order in which real
    clients need them.
    """

    def thing_forms(self, thing: Thing, base: str) -> Forms:
        """Forms that concern all properties, actions or events of a Thing."""

    def property_forms(self, thing: Thing, descriptor: BaseProperty[Any], base: str) -> Forms:
        """Forms of one property."""

    def action_forms(
        self, thing: Thing, descriptor: ActionDescriptor[Any, Any, Any], base: str
    ) -> Forms:
        """Forms of one action."""
