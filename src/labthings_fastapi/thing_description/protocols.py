"""What is described: Things and their affordances, as this room sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]


class DescribedSchema(Protocol):
    """A type that has a data schema."""

    def data_schema(self, mode: Any) -> Json:
        """Return the W3C data schema."""


class Described(Protocol):
    """What every affordance says about itself."""

    @property
    def name(self) -> str:
        """The name in URLs."""

    @property
    def title(self) -> str:
        """A short text for people."""

    @property
    def description(self) -> str | None:
        """A longer one."""


class DescribedProperty(Described, Protocol):
    """A property."""

    @property
    def schema(self) -> DescribedSchema:
        """The type of its values."""

    @property
    def readonly(self) -> bool:
        """Whether clients may not write it."""

    @property
    def is_observable(self) -> bool:
        """Whether clients are told of changes."""

    @property
    def unit(self) -> str | None:
        """The unit of its values."""

    @property
    def has_default(self) -> bool:
        """Whether there is a default to tell."""

    def make_default(self) -> Any:
        """Return the default."""

    def to_json(self, value: Any, context: Any = None) -> bytes:
        """Write a value as clients see it."""


class DescribedAction(Described, Protocol):
    """An action."""

    @property
    def takes_input(self) -> bool:
        """Whether clients can give anything."""

    @property
    def input_schema(self) -> DescribedSchema:
        """The type of its arguments."""

    @property
    def output_schema(self) -> DescribedSchema:
        """The type of its output."""

    @property
    def synchronous(self) -> bool:
        """Whether the answer to the invocation is the output."""

    @property
    def safe(self) -> bool:
        """Whether it changes nothing."""

    @property
    def idempotent(self) -> bool:
        """Whether twice is the same as once."""

    @property
    def stop(self) -> bool:
        """Whether it is an emergency stop."""

    @property
    def concurrency(self) -> str:
        """What happens while another run of its group is in progress."""

    @property
    def group(self) -> str | None:
        """The group, whose runs come one at a time; the action itself if None."""


class DescribedEvent(Described, Protocol):
    """An event."""

    @property
    def schema(self) -> DescribedSchema:
        """The type of its data."""


class DescribedThing(Protocol):
    """A Thing."""

    @property
    def name(self) -> str:
        """The name on the server."""

    @property
    def path(self) -> str:
        """The path in URLs, with a slash at both ends."""

    @property
    def title(self) -> str:
        """A short text for people."""

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
    """Says how a Thing is reached in one protocol: a binding.

    `base` is what absolute URLs begin with, or empty; `path` is where the Thing is served. Forms
    come in the order in which real clients need them.
    """

    def thing_forms(self, thing: DescribedThing, path: str) -> list[Json]:
        """Forms that concern all properties, actions or events of a Thing."""

    def property_forms(self, descriptor: DescribedProperty, path: str) -> list[Json]:
        """Forms of one property; `path` is its Thing's."""

    def action_forms(self, descriptor: DescribedAction, path: str) -> list[Json]:
        """Forms of one action; `path` is its Thing's."""

    def event_forms(self, descriptor: DescribedEvent, path: str) -> list[Json]:
        """Forms of one event; `path` is its Thing's."""
