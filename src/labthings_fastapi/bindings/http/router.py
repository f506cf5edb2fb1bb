"""From a path to its resource, by name in a dictionary.

The cost does not depend on how many Things and affordances there are.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .request_response import HttpResponse

    Handler = Callable[[HttpResponse], Awaitable[None]]


class Resource(Protocol):
    """Something with a URL."""

    @property
    def what(self) -> str:
        """What it is, for error messages: "Property 'speed' of Thing 'stage'"."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """HTTP method → what answers it; GET also answers HEAD.

        A method that is neither here nor in `fallthrough_methods` is refused with 405.
        """

    @property
    def fallthrough_methods(self) -> frozenset[str]:
        """HTTP methods that are left to the FastAPI app, where a real route answers them."""


class Router:
    """All resources of all Things.

    Read by the event loop without a lock; changed from any thread, by replacing the dictionaries.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._fixed: dict[str, Resource] = {}
        self._members: dict[str, Resource] = {}
        self._things: dict[str, tuple[str, tuple[str, ...]]] = {}

    def add(
        self,
        thing: str,
        path: str,
        fixed: Mapping[str, Resource],
        members: Mapping[str, Resource],
    ) -> None:
        """Add a Thing: its resources by path, and those whose paths end in an id."""
        with self._lock:
            self._fixed = {**self._fixed, **fixed}
            self._members = {**self._members, **members}
            names = tuple(key[len(path) :] for key in fixed if key.startswith(path))
            self._things = {**self._things, path: (thing, names)}

    def add_resource(self, path: str, resource: Resource, *, members: bool = False) -> None:
        """Add a resource that belongs to no Thing; as `members`, what is one segment below."""
        with self._lock:
            if members:
                self._members = {**self._members, path: resource}
                return
            self._fixed = {**self._fixed, path: resource}

    def find(self, path: str) -> Resource | None:
        """Return what is at a path, or None."""
        found = self._fixed.get(path)
        if found is None and not path.endswith("/"):
            found = self._members.get(path[: path.rfind("/")])
        return found

    def has_thing(self, path: str) -> bool:
        """Tell whether a Thing is served at exactly this path."""
        return path in self._things

    def not_found_detail(self, path: str) -> str | None:
        """Say what there is near a path that leads nowhere."""
        for base, (thing, names) in self._things.items():
            if path.startswith(base):
                known = ", ".join(sorted(name for name in names if name))
                return f"Thing {thing!r} has nothing at {path[len(base) :]!r}. It has: {known}."
        things = ", ".join(sorted(base for base in self._things))
        return f"There is nothing at {path!r}. Things are served at: {things or 'no path yet'}."
