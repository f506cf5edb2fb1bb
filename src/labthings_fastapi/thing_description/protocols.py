"""The members of Things and descriptors that a Thing Description is written from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, Any]


class DescribedSchema(Protocol):
    """A type that has a data schema."""

    def data_schema(self) -> Json:
        """Return the W3C data schema."""

    @property
    def file_types(self) -> tuple[str, ...]:
        """The media types, besides JSON, in which arrays in the value are sent."""


class Described(Protocol):
    """What all affordances have in common."""

    @property
    def name(self) -> str:
        """The name in URLs."""

    @property
    def title(self) -> str:
        """A short text for people."""

    @property
    def description(self) -> str | None:
        """A longer text for people."""


class DescribedProperty(Described, Protocol):
    """A property."""

    @property
    def schema(self) -> DescribedSchema:
        """The type of its values."""

    @property
    def readonly(self) -> bool:
        """Whether clients cannot write the property."""

    @property
    def is_observable(self) -> bool:
        """Whether clients can subscribe to changes."""

    @property
    def unit(self) -> str | None:
        """The unit of its values."""

    @property
    def default_fits(self) -> bool:
        """Whether the property has a default that its own type allows."""

    def make_default(self) -> Any:
        """Return the default."""

    def to_json(self, value: Any, context: Any = None) -> bytes:
        """Return the JSON of a value."""


class DescribedAction(Described, Protocol):
    """An action."""

    @property
    def takes_input(self) -> bool:
        """Whether the action has parameters."""

    @property
    def input_schema(self) -> DescribedSchema:
        """The type of its arguments."""

    @property
    def output_schema(self) -> DescribedSchema:
        """The type of its output."""

    @property
    def output_description(self) -> str | None:
        """What the documentation says of the output."""

    @property
    def synchronous(self) -> bool:
        """Whether the response to an invocation is its output."""

    @property
    def safe(self) -> bool:
        """Whether the action changes nothing."""

    @property
    def idempotent(self) -> bool:
        """Whether a second invocation with the same input changes nothing."""

    @property
    def stop(self) -> bool:
        """Whether the action is an emergency stop."""

    @property
    def concurrency(self) -> str:
        """What happens while another invocation of the group is running."""

    @property
    def group(self) -> str | None:
        """The group that runs one invocation at a time; None: only this action."""


class DescribedEvent(Described, Protocol):
    """An event."""

    @property
    def has_data(self) -> bool:
        """Whether it has data."""

    @property
    def unit(self) -> str | None:
        """The unit of its data."""

    @property
    def schema(self) -> DescribedSchema:
        """The type of its data."""


class DescribedThing(Protocol):
    """A Thing. For its name, path and title see `name_of`, `path_of` and `title_of`."""

    @property
    def _thing_server_interface(self) -> Any: ...

    @property
    def _own_title(self) -> str: ...

    @property
    def _semantic_types(self) -> Sequence[str]: ...

    @property
    def frame_streams(self) -> Mapping[str, str]:
        """The live streams: name → media type of a frame."""

    @property
    def hidden_resources(self) -> frozenset[str]:
        """The names of common resources whose path the Thing uses itself."""

    @property
    def property_descriptors(self) -> Mapping[str, DescribedProperty]:
        """The properties by name."""

    @property
    def action_descriptors(self) -> Mapping[str, DescribedAction]:
        """The actions by name."""

    @property
    def event_descriptors(self) -> Mapping[str, DescribedEvent]:
        """The events by name."""


class FormWriter(Protocol):
    """Writes the forms of one protocol binding.

    `path` is the path or the absolute URL of the Thing, with a slash at its end.
    """

    def thing_forms(self, thing: DescribedThing, path: str) -> list[Json]:
        """Return the forms of operations on all properties, actions or events of a Thing."""

    def property_forms(self, descriptor: DescribedProperty, path: str) -> list[Json]:
        """Return the forms of one property."""

    def action_forms(self, descriptor: DescribedAction, path: str) -> list[Json]:
        """Return the forms of one action."""

    def event_forms(self, descriptor: DescribedEvent, path: str) -> list[Json]:
        """Return the forms of one event."""
