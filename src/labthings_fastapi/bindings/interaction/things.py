"""The Things of a server, in the form that all bindings share."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
from labthings_fastapi.exceptions import AffordanceNotFoundError
from labthings_fastapi.thing_description.paths import name_of

from .actions import ActionInteraction
from .properties import PropertiesInteraction, PropertyInteraction

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.concurrency.bounded_executor import Workers
    from labthings_fastapi.descriptors.reading_state import FailedReading
    from labthings_fastapi.thing import Thing

CALLS_PER_THING = 8
"""How many calls run a Thing's code at once, beside the readings of its properties."""


CALLS_WAITING = 32


class ThingInteraction:
    """One Thing: its properties, its actions, and the executor that runs all its code.

    There is one for each Thing, so that the limit of its executor holds for all protocols together.
    Immutable; await its coroutines on the server's event loop.
    """

    def __init__(
        self,
        thing: Thing,
        executor: BoundedExecutor,
        manager: ActionManager,
        readings: Callable[[str], BoundedExecutor],
    ) -> None:
        """Prepare every affordance; `readings` gives the executor for those of one property."""
        self.thing = thing
        self.name = name_of(thing)
        self.executor = executor
        self.each_property = {
            name: PropertyInteraction(thing, descriptor, executor, manager.blobs, readings(name))
            for name, descriptor in thing.property_descriptors.items()
        }
        self.properties = PropertiesInteraction(thing, self.each_property, executor)
        # Inputs do not wait behind readings, which may wait for the instrument: so stops pass.
        inputs = executor.beside()
        self.actions = {
            name: ActionInteraction(thing, descriptor, inputs, manager)
            for name, descriptor in thing.action_descriptors.items()
        }

    def action(self, name: str) -> ActionInteraction:
        """Return one action.

        Raises:
            AffordanceNotFoundError: there is none of that name.
        """
        found = self.actions.get(name)
        if found is None:
            raise AffordanceNotFoundError(self.name, "action", name, list(self.actions))
        return found

    def label_of(self, name: object) -> str:
        """Return a name for people: of an affordance, or of the Thing if there is no such one."""
        if isinstance(name, str):
            found = self.actions.get(name) or self.each_property.get(name)
            if found is not None:
                return found.label
        return f"Thing {self.name!r}"

    def require_event(self, name: str) -> None:
        """Raise an error if the Thing has no such event.

        Raises:
            AffordanceNotFoundError: there is none of that name.
        """
        events = self.thing.event_descriptors
        if name not in events:
            raise AffordanceNotFoundError(self.name, "event", name, list(events))


class Interactions:
    """Gives all bindings the same `ThingInteraction` for a Thing; thread-safe."""

    def __init__(
        self, manager: ActionManager, workers: Workers, *, calls_per_thing: int | None = None
    ) -> None:
        """Let at most `calls_per_thing` calls run a Thing's code at once.

        With None, each property has one reading at a time, however long those of others take.
        """
        self.manager = manager
        self.workers = workers
        self._calls_per_thing = calls_per_thing
        self._lock = threading.Lock()  # guards the next
        self._interactions: dict[int, ThingInteraction] = {}

    def of(self, thing: Thing) -> ThingInteraction:
        """Return the `ThingInteraction` of a Thing, created on first use."""
        with self._lock:
            # By identity, because a Thing's class may define equality. The value keeps the Thing
            # alive, so its id is not used again.
            found = self._interactions.get(id(thing))
            if found is None:
                found = self._interactions[id(thing)] = self._new(thing)
        return found

    def _new(self, thing: Thing) -> ThingInteraction:
        limit, what = self._calls_per_thing, f"Thing {name_of(thing)!r}"
        # With a limit, readings wait there as well, one of each property.
        waiting = CALLS_WAITING + len(thing.property_descriptors)
        executor = BoundedExecutor(
            self.workers, what, limit=limit or CALLS_PER_THING, waiting=waiting
        )

        def readings(name: str) -> BoundedExecutor:
            if limit is not None:
                return executor
            return BoundedExecutor(self.workers, f"Property {name!r} of {what}", limit=1)

        return ThingInteraction(thing, executor, self.manager, readings)

    def failed_readings(self) -> dict[str, dict[str, FailedReading]]:
        """Return why properties cannot be read, by Thing and property."""
        with self._lock:
            things = list(self._interactions.values())
        found = {
            thing.name: {
                name: failure
                for name, one in thing.each_property.items()
                if (failure := one.failure()) is not None
            }
            for thing in things
        }
        return {name: failures for name, failures in found.items() if failures}
