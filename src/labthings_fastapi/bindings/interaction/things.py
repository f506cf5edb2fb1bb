"""The Things of a server, ready to be used by every binding in the same way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
from labthings_fastapi.exceptions import AffordanceNotFoundError

from .actions import ActionInteraction
from .properties import PropertiesInteraction, PropertyInteraction

if TYPE_CHECKING:
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.concurrency.bounded_executor import Workers
    from labthings_fastapi.thing import Thing


class ThingInteraction:
    """One Thing: its properties, its actions, and the lane on which all its code runs.

    Made once for each Thing, so that clients of all protocols together take no more than its lane.
    Immutable; its coroutines are for the server's event loop.
    """

    def __init__(self, thing: Thing, executor: BoundedExecutor, manager: ActionManager) -> None:
        """Look at every affordance once."""
        self.thing = thing
        self.executor = executor
        self.each_property = {
            name: PropertyInteraction(thing, descriptor, executor, manager.blobs)
            for name, descriptor in thing.property_descriptors.items()
        }
        self.properties = PropertiesInteraction(thing, self.each_property, executor)
        self.actions = {
            name: ActionInteraction(thing, descriptor, executor, manager)
            for name, descriptor in thing.action_descriptors.items()
        }

    def action(self, name: str) -> ActionInteraction:
        """Return one action.

        Raises:
            AffordanceNotFoundError: there is none of that name.
        """
        found = self.actions.get(name)
        if found is None:
            raise AffordanceNotFoundError(self.thing.name, "action", name, list(self.actions))
        return found

    def what(self, name: object) -> str:
        """Say for people what an affordance is, or what was taken for one."""
        if isinstance(name, str):
            found = self.actions.get(name) or self.each_property.get(name)
            if found is not None:
                return found.what
        return f"Thing {self.thing.name!r}"

    def require_event(self, name: str) -> None:
        """Make sure that there is such an event.

        Raises:
            AffordanceNotFoundError: there is none of that name.
        """
        known = self.thing.event_descriptors
        if name not in known:
            raise AffordanceNotFoundError(self.thing.name, "event", name, list(known))


class Interactions:
    """Gives each binding the same `ThingInteraction` for the same Thing; safe from any thread."""

    def __init__(
        self, manager: ActionManager, workers: Workers, *, calls_per_thing: int = 8
    ) -> None:
        """Let at most `calls_per_thing` calls run a Thing's code at once."""
        self.manager = manager
        self.workers = workers
        self._calls_per_thing = calls_per_thing
        self._lock = threading.Lock()  # guards the next
        self._known: dict[int, ThingInteraction] = {}

    def of(self, thing: Thing) -> ThingInteraction:
        """Return how a Thing is used; made when the first binding asks."""
        with self._lock:
            # By identity: a Thing's class may define equality. The value keeps the Thing alive.
            found = self._known.get(id(thing))
            if found is None:
                executor = BoundedExecutor(
                    self.workers, f"Thing {thing.name!r}", limit=self._calls_per_thing
                )
                found = self._known[id(thing)] = ThingInteraction(thing, executor, self.manager)
        return found
