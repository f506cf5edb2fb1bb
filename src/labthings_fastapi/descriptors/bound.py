"""An affordance of one Thing: its declaration, bound to the instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from .base import BaseDescriptor

D = TypeVar("D", bound="BaseDescriptor")


class ListenAddress(Generic[D]):
    """What the properties and the events of a Thing have in common; safe from any thread."""

    def __init__(self, descriptor: D, thing: Any) -> None:
        """Bind a declaration to a Thing."""
        self.descriptor = descriptor
        self._thing = thing

    @property
    def name(self) -> str:
        """The name in code and in URLs."""
        return self.descriptor.name

    @property
    def title(self) -> str:
        """A short text for people."""
        return self.descriptor.title

    @property
    def description(self) -> str | None:
        """The whole documentation."""
        return self.descriptor.description
