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
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.concurrency.bounded_executor import Workers
    from labthings_fastapi.thing import Thing


class ThingInteraction:
    """One Thing: its properties, its actions, and the executor that runs all its code.

    There is one for each Thing, so that the limit of its executor holds for all protocols together.
    Immutable; await its coroutines on the server's event loop.
    """

    def __init__(self, thing: Thing, executor: BoundedExecutor, manager: ActionManager) -> None:
        """Prepare every affordance."""
        self.thing = thing
        self.name = name_of(thing)
        self.executor = executor
        self.each_property = {
            name: PropertyInteraction(thing, descriptor, executor, manager.blobs)
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
        self, manager: ActionManager, workers: Workers, *, calls_per_thing: int = 8
    ) -> None:
        """Let at most `calls_per_thing` calls run a Thing's code at once."""
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
                executor = BoundedExecutor(
                    self.workers, f"Thing {name_of(thing)!r}", limit=self._calls_per_thing
                )
                found = self._interactions[id(thing)] = ThingInteraction(
                    thing, executor, self.manager
                )
        return found
