"""A Thing's affordances by name: `thing.properties["speed"].get()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from labthings_fastapi.exceptions import AffordanceNotFoundError

from .base import BaseDescriptor

if TYPE_CHECKING:
    from .property import BaseProperty

D = TypeVar("D", bound=BaseDescriptor)


class AffordanceMap(Generic[D]):
    """Gives the affordances of one kind: descriptors on the class, bound ones on an instance."""

    def __init__(self, kind: type[D], bound: Any = None) -> None:
        """Show descriptors of class `kind`; on an instance each is wrapped in `bound`."""
        self._kind = kind
        self._bound = bound

    def __get__(self, obj: Any, owner: type) -> Mapping[str, Any]:
        found = {
            name: descriptor
            for name, descriptor in getattr(owner, "_affordances", {}).items()
            if isinstance(descriptor, self._kind)
        }
        if obj is None or self._bound is None:
            return Affordances(owner.__name__, self._kind.kind, found)
        bound = {name: self._bound(descriptor, obj) for name, descriptor in found.items()}
        return Affordances(obj.name, self._kind.kind, bound)


class Affordances(Mapping[str, Any]):
    """A read-only mapping whose KeyError says what there is."""

    def __init__(self, thing: str, kind: str, found: dict[str, Any]) -> None:
        """Hold what was found on `thing`."""
        self._thing = thing
        self._kind = kind
        self._found = found

    def __getitem__(self, name: str) -> Any:
        try:
            return self._found[name]
        except KeyError:
            raise AffordanceNotFoundError(
                self._thing, self._kind, name, list(self._found)
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(self._found)


class PropertyInfo:
    """One property of one Thing; safe from any thread."""

    def __init__(self, descriptor: BaseProperty[Any], thing: Any) -> None:
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

    @property
    def unit(self) -> str | None:
        """The unit of the value."""
        return self.descriptor.unit

    @property
    def value_type(self) -> Any:
        """The type of the value."""
        return self.descriptor.value_type

    @property
    def readonly(self) -> bool:
        """Whether clients may not write it."""
        return self.descriptor.readonly

    @property
    def is_observable(self) -> bool:
        """Whether clients are told of changes."""
        return self.descriptor.is_observable

    def get(self) -> Any:
        """Return the value now."""
        return self.descriptor.get(self._thing)

    def set(self, value: Any) -> None:
        """Check and set a value."""
        self.descriptor.set(self._thing, value)

    def validate(self, value: Any) -> Any:
        """Return the value as the property would have it, or raise `pydantic.ValidationError`."""
        return self.descriptor.schema.validate(value)

    def publish(self) -> None:
        """Tell observers the value as it is now, for instance after the hardware changed it."""
        self.descriptor.publish(self._thing, self.descriptor.get(self._thing))
