"""A Thing's affordances by name: `thing.properties["speed"].get()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import RootModel

from labthings_fastapi.exceptions import AffordanceDefinitionError, AffordanceNotFoundError
from labthings_fastapi.schemas.constraints import constrained

from .bound import ListenAddress
from .property import BaseProperty

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.thing_host.observation import Observation


class AffordanceMap:
    """Gives the affordances of one kind: descriptors on the class, bound ones on an instance."""

    def __init__(self, kind: Any, bound: Any = None) -> None:
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


class PropertyInfo(ListenAddress[BaseProperty[Any]]):
    """One property of one Thing; safe from any thread."""

    @property
    def value_type(self) -> Any:
        """The type of the value."""
        return self.descriptor.value_type

    @property
    def unit(self) -> str | None:
        """The unit of the value."""
        return self.descriptor.unit

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

    @property
    def default(self) -> Any:
        """The default value; an error if there is none."""
        if not self.descriptor.has_default:
            raise AttributeError(
                f"Property {self.name!r} of {type(self._thing).__name__} has no default."
            )
        return self.descriptor.make_default()

    @property
    def model(self) -> type[RootModel[Any]]:
        """A pydantic model of the value, with its constraints."""
        schema = self.descriptor.schema
        hint: Any = constrained(schema.hint, schema.constraints, schema.where)
        model: Any = RootModel[hint]
        found: type[RootModel[Any]] = model
        return found

    @property
    def is_resettable(self) -> bool:
        """Whether clients can ask for the default back."""
        return self.descriptor.is_resettable

    def reset(self) -> None:
        """Give the property its default value back."""
        self.descriptor.reset(self._thing)

    def observe(self, callback: Callable[[Any], Any]) -> Observation:
        """Call `callback(value)` at each change from now on, in a worker thread, in order.

        A slow callback gets the latest value only. What it raises is logged. `close()` on the
        result ends it.

        Raises:
            AffordanceDefinitionError: the property does not tell of its changes.
        """
        if not self.is_observable:
            raise AffordanceDefinitionError(
                f"Property {self.name!r} of Thing {self._thing.name!r} is not observable: declare "
                "it with `observable=True`, and publish its changes."
            )
        found: Observation = self._thing._thing_server_interface.observe(
            "property", self.name, callback
        )
        return found

    def validate(self, value: Any) -> Any:
        """Return the value as the property would have it, or raise `pydantic.ValidationError`."""
        return self.descriptor.schema.validate(value)

    def publish(self) -> None:
        """Tell observers the value as it is now, for instance after the hardware changed it."""
        self.descriptor.publish_reading(self._thing)
