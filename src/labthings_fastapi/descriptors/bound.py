"""An affordance of one Thing, or of a class: a descriptor, and what it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from labthings_fastapi.exceptions import NotBoundToInstanceError
from labthings_fastapi.thing_description.paths import name_of

if TYPE_CHECKING:
    from .base import BaseDescriptor

D = TypeVar("D", bound="BaseDescriptor")


class AffordanceInfo(Generic[D]):
    """Base of what `Thing.properties` and the like hold; any thread may use it.

    Those of a class are unbound: they know the declaration, and no value. Two are equal if class,
    name and Thing are.
    """

    def __init__(self, descriptor: D, thing: Any, owner: type | None = None) -> None:
        """Bind a descriptor to a Thing; with None for the Thing, to the class `owner` alone."""
        self.descriptor = descriptor
        self._owner = type(thing) if owner is None else owner
        self._bound_to = thing

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
        """A longer text for people, or None."""
        return self.descriptor.description

    @property
    def is_bound(self) -> bool:
        """True if it belongs to one Thing, and not to a class alone."""
        return self._bound_to is not None

    @property
    def owning_class(self) -> type:
        """The class of Thing that has it."""
        return self._owner

    @property
    def owning_object(self) -> Any:
        """The Thing that has it, or None if it belongs to a class alone."""
        return self._bound_to

    @property
    def _thing(self) -> Any:
        if self._bound_to is None:
            raise NotBoundToInstanceError(
                f"{self._owner.__name__}.{self.name} belongs to a class, which has no values. Take "
                f"the {self.descriptor.kind} of a Thing, such as one of `server.things`."
            )
        return self._bound_to

    @property
    def _place(self) -> str:
        kind = self.descriptor.kind.capitalize()
        if self._bound_to is None:
            return f"{kind} {self.name!r} of {self._owner.__name__}"
        return f"{kind} {self.name!r} of Thing {name_of(self._bound_to)!r}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AffordanceInfo):
            return NotImplemented
        same = (self._owner, self.name) == (other._owner, other.name)
        return same and self._bound_to is other._bound_to

    def __hash__(self) -> int:
        return hash((self._owner, self.name, id(self._bound_to)))

    def __repr__(self) -> str:
        bound = "" if self._bound_to is None else f" bound to {self._bound_to!r}"
        return f"<{type(self).__name__} for {self._owner.__name__}.{self.name}{bound}>"
