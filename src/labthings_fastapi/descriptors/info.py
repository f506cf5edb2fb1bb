"""The affordances of a Thing by name, as in `thing.properties["speed"].get()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import RootModel

from labthings_fastapi.exceptions import (
    AffordanceNotFoundError,
    PropertyNotObservableError,
)
from labthings_fastapi.schemas.constraints import constrained
from labthings_fastapi.thing_description.paths import name_of

from .bound import BoundAffordance
from .property import BaseProperty

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.thing_host.observation import Observation


class AffordanceMap:
    """A class attribute: the descriptors of one kind on the class, bound ones on an instance."""

    def __init__(self, descriptor_class: Any, bound_class: Any = None) -> None:
        """Select descriptors of one class; on an instance, wrap each in `bound_class`."""
        self._descriptor_class = descriptor_class
        self._bound_class = bound_class

    def __get__(self, obj: Any, owner: type) -> Mapping[str, Any]:
        kind = self._descriptor_class.kind
        descriptors = {
            name: descriptor
            for name, descriptor in getattr(owner, "_affordances", {}).items()
            if isinstance(descriptor, self._descriptor_class)
        }
        if obj is None or self._bound_class is None:
            return Affordances(owner.__name__, kind, descriptors)
        bound = {name: self._bound_class(found, obj) for name, found in descriptors.items()}
        return Affordances(name_of(obj), kind, bound)


class Affordances(Mapping[str, Any]):
    """A read-only mapping of affordances by name; its KeyError lists the names."""

    def __init__(self, thing: str, kind: str, affordances: dict[str, Any]) -> None:
        """Hold the affordances; `thing` and `kind` are for the error message."""
        self._thing = thing
        self._kind = kind
        self._affordances = affordances

    def __getitem__(self, name: str) -> Any:
        try:
            return self._affordances[name]
        except KeyError:
            raise AffordanceNotFoundError(
                self._thing, self._kind, name, list(self._affordances)
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._affordances)

    def __len__(self) -> int:
        return len(self._affordances)

    def __repr__(self) -> str:
        return repr(self._affordances)


class PropertyInfo(BoundAffordance[BaseProperty[Any]]):
    """One property of one Thing; any thread may use it."""

    @property
    def value_type(self) -> Any:
        """The type of the value."""
        return self.descriptor.value_type

    @property
    def unit(self) -> str | None:
        """The unit of the value, or None."""
        return self.descriptor.unit

    @property
    def readonly(self) -> bool:
        """True if clients cannot set the value."""
        return self.descriptor.readonly

    @property
    def is_observable(self) -> bool:
        """True if clients can follow changes of the value."""
        return self.descriptor.is_observable

    def get(self) -> Any:
        """Return the present value; calls the getter, if there is one."""
        return self.descriptor.get(self._thing)

    def set(self, value: Any) -> None:
        """Validate and set a value.

        Raises:
            pydantic.ValidationError: the value breaks the type or a constraint.
            ReadOnlyPropertyError: the property has a getter and no setter.
            GlobalLockBusyError: another task holds the server's global lock.
        """
        self.descriptor.set(self._thing, value)

    @property
    def default(self) -> Any:
        """The default value, a fresh copy; `AttributeError` if there is none."""
        if not self.descriptor.has_default:
            raise AttributeError(
                f"Property {self.name!r} of Thing {name_of(self._thing)!r} has no default."
            )
        return self.descriptor.make_default()

    @property
    def model(self) -> type[RootModel[Any]]:
        """A pydantic model of the value, with its constraints."""
        schema = self.descriptor.schema
        hint: Any = constrained(schema.hint, schema.constraints, schema.where)
        model: Any = RootModel[hint]
        root_model: type[RootModel[Any]] = model
        return root_model

    @property
    def is_resettable(self) -> bool:
        """True if clients can reset the value to its default."""
        return self.descriptor.is_resettable

    def reset(self) -> None:
        """Set the default value, or call the resetter.

        Raises:
            ReadOnlyPropertyError: there is neither a resetter nor a default that can be set.
            GlobalLockBusyError: another task holds the server's global lock.
        """
        self.descriptor.reset(self._thing)

    def observe(self, callback: Callable[[Any], Any]) -> Observation:
        """Call `callback(value)` at each change from now on, in a worker thread, in order.

        A slow callback gets the latest value only. Errors of the callback are logged. Call
        `close()` on the result to end the observation.

        Raises:
            PropertyNotObservableError: the property is not observable.
        """
        if not self.is_observable:
            raise PropertyNotObservableError(
                f"Property {self.name!r} of Thing {name_of(self._thing)!r} is not observable. "
                "Declare it with `observable=True`, and publish its changes."
            )
        observation: Observation = self._thing._thing_server_interface.observe(
            "property", self.name, callback
        )
        return observation

    def validate(self, value: Any) -> Any:
        """Return the value converted to the property's type; `ValidationError` if invalid."""
        return self.descriptor.validate(self._thing, value)

    def publish(self) -> None:
        """Publish the present value to observers, for instance after the hardware changed it."""
        self.descriptor.publish_reading(self._thing)
