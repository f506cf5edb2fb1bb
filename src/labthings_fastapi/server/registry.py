"""The Things of a server, and how they are found."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from labthings_fastapi.exceptions import ThingNotFoundError
from labthings_fastapi.thing import Thing

from .thing_lifecycle import close_now, open_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .thing_lifecycle import ThingLifecycle

T = TypeVar("T", bound=Thing)


class ThingRegistry:
    """Things by name; they are added by the server alone, and looked for from any thread."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.state: Literal["stopped", "starting", "running", "stopping"] = "stopped"
        self._things: dict[str, Thing] = {}  # once it is served: replaced, never changed
        # Guards the two above where they must agree: all Things of a running server are open. The
        # event loop takes it too, so it is held for a moment only, and never while user code runs.
        self._agreeing = threading.Lock()

    def _take_in(self, name: str, thing: Thing, lifecycle: ThingLifecycle) -> bool:
        """Hold one more Thing, one at a time; open it if the server runs, and tell whether it does.

        The server may start or stop while the Thing is opened: then that is seen to, too.

        Raises:
            ThingStartError: it cannot be opened, and is not held.
        """
        opened = False
        while True:
            if opened != (self.state == "running"):
                (close_now if opened else open_now)(thing)
                opened = not opened
            with self._agreeing:
                if opened == (self.state == "running"):
                    self._things = {**self._things, name: thing}
                    if opened:
                        lifecycle.take_over(thing)
                    return opened

    @property
    def things(self) -> Mapping[str, Thing]:
        """The Things by name."""
        return MappingProxyType(self._things)

    def things_by_class(self, cls: type[T]) -> list[T]:
        """Return the Things of a class, or of one derived from it."""
        return [thing for thing in self._things.values() if isinstance(thing, cls)]

    def thing_by_class(self, cls: type[T]) -> T:
        """Return the only Thing of a class.

        Raises:
            ThingNotFoundError: there is none, or there are several.
        """
        found = self.things_by_class(cls)
        if len(found) != 1:
            names = ", ".join(thing.name for thing in found) or "none"
            raise ThingNotFoundError(
                f"This server should have one {cls.__name__}, and has {len(found)}: {names}."
            )
        return found[0]

    def path_for_thing(self, name: str) -> str:
        """Return the path of a Thing in URLs."""
        if name not in self._things:
            known = ", ".join(self._things) or "none"
            raise ThingNotFoundError(f"There is no Thing called {name!r}; there are: {known}.")
        return self._things[name].path

    def thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the metadata of every Thing, by name."""
        return {name: thing.thing_state for name, thing in self._things.items()}
