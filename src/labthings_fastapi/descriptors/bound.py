"""An affordance of one Thing: a descriptor, bound to an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from .base import BaseDescriptor

D = TypeVar("D", bound="BaseDescriptor")


class BoundAffordance(Generic[D]):
    """Base of the properties and events of one Thing; any thread may use it."""

    def __init__(self, descriptor: D, thing: Any) -> None:
        """Bind a descriptor to a Thing."""
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
