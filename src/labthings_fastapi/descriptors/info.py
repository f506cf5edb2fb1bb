"""The affordances of a Thing by name, as in `thing.properties["speed"].get()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, create_model

from labthings_fastapi.exceptions import (
    AffordanceNotFoundError,
    FeatureNotAvailableError,
    PropertyNotObservableError,
)
from labthings_fastapi.thing_description.paths import name_of

from .action import ActionDescriptor
from .bound import AffordanceInfo
from .property import BaseProperty

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.thing_host.observation import Observation


class Affordances(Mapping[str, Any]):
    """A read-only mapping of affordances by name, in alphabetical order.

    Its KeyError lists the names.
    """

    def __init__(self, owner: str, kind: str, affordances: Mapping[str, Any]) -> None:
        """Hold the affordances; `owner` and `kind` are for the error message."""
        self._owner = owner
        self._kind = kind
        self._affordances = dict(sorted(affordances.items()))

    def __getitem__(self, name: str) -> Any:
        try:
            return self._affordances[name]
        except KeyError:
            raise AffordanceNotFoundError(
                self._owner, self._kind, name, list(self._affordances)
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._affordances)

    def __len__(self) -> int:
        return len(self._affordances)

    def __repr__(self) -> str:
        return repr(self._affordances)


class PropertyCollection(Affordances):
    """The properties of a Thing, or of a class, by name."""


class SettingCollection(PropertyCollection):
    """The settings of a Thing, or of a class, by name."""

    @cached_property
    def model(self) -> type[BaseModel]:
        """A pydantic model of all settings: each may be left out, and others are refused."""
        fields: Any = {name: (info.model | None, None) for name, info in self.items()}
        return create_model(f"{self._owner}_settings", __config__={"extra": "forbid"}, **fields)

    @property
    def model_instance(self) -> BaseModel:
        """The present values, as an instance of `model`.

        Raises:
            NotBoundToInstanceError: these are the settings of a class.
        """
        return self.model(**{name: info.model_instance for name, info in self.items()})


class AffordanceMap:
    """A class attribute: the affordances of one kind, of the class or of an instance."""

    def __init__(
        self, descriptor_class: Any, info: Any, collection: type[Affordances] = Affordances
    ) -> None:
        """Select descriptors of one class; `info` is the class of each entry."""
        self._descriptor_class = descriptor_class
        self._info = info
        self._collection = collection

    def __get__(self, obj: Any, owner: type) -> Mapping[str, Any]:
        infos = {
            name: self._info(descriptor, obj, owner)
            for name, descriptor in self.descriptors(owner).items()
        }
        name = owner.__name__ if obj is None else name_of(obj)
        return self._collection(name, self._descriptor_class.kind, infos)

    def descriptors(self, owner: type) -> Mapping[str, Any]:
        """Return the descriptors of a class, in the order of their declaration."""
        found = getattr(owner, "_affordances", {}).items()
        return {name: each for name, each in found if isinstance(each, self._descriptor_class)}


class PropertyInfo(AffordanceInfo[BaseProperty[Any]]):
    """One property of one Thing, or of a class; any thread may use it."""

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
        """The default value, a fresh copy.

        Raises:
            FeatureNotAvailableError: there is none.
        """
        if not self.descriptor.has_default:
            raise FeatureNotAvailableError(f"{self._place} has no default value.")
        return self.descriptor.make_default()

    @property
    def model(self) -> type[BaseModel]:
        """A pydantic model of the value, with its constraints: see `BaseProperty.model`."""
        return self.descriptor.model

    @property
    def model_instance(self) -> BaseModel:
        """The present value, as an instance of `model`; calls the getter, if there is one.

        Raises:
            pydantic.ValidationError: the value breaks the type or a constraint.
            NotBoundToInstanceError: this is the property of a class.
        """
        value = self.get()
        return value if isinstance(value, self.model) else self.model.model_validate(value)

    @property
    def is_resettable(self) -> bool:
        """True if clients can reset the value to its default."""
        return self.descriptor.is_resettable

    def reset(self) -> None:
        """Set the default value, or call the resetter.

        Raises:
            PropertyNotResettableError: there is neither a resetter nor a default that can be set.
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
        if self._bound_to is None:
            return self.descriptor.schema.validate(value)
        return self.descriptor.validate(self._bound_to, value)

    def publish(self) -> None:
        """Publish the present value to observers, for instance after the hardware changed it."""
        self.descriptor.publish_reading(self._thing)


class SettingInfo(PropertyInfo):
    """One setting of one Thing, or of a class; any thread may use it."""


class ActionInfo(AffordanceInfo[ActionDescriptor[Any, Any, Any]]):
    """One action of one Thing, or of a class; any thread may use it."""

    @property
    def func(self) -> Callable[..., Any]:
        """The method, as it is written in the class."""
        return self.descriptor.func

    @property
    def input_model(self) -> type[BaseModel]:
        """The pydantic model of the input that clients send."""
        return self.descriptor.input_model

    @property
    def output_model(self) -> type[BaseModel]:
        """A pydantic model of the output; for plain types one with the field `root` alone."""
        return self.descriptor.output_as_model

    @property
    def invocation_model(self) -> type[BaseModel]:
        """The pydantic model of an invocation, with the types of input and output."""
        return self.descriptor.invocation_model

    @property
    def response_timeout(self) -> float:
        """Seconds that a client waits at most for a synchronous answer."""
        return self.descriptor.response_timeout

    @property
    def retention_time(self) -> float:
        """Seconds for which an invocation is kept after its end."""
        return self.descriptor.retention_time
