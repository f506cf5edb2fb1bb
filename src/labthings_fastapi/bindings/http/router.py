"""From a path to its resource, by a look-up in a dictionary.

The cost does not depend on the number of Things and affordances.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .request_response import HttpResponse

    Handler = Callable[[HttpResponse], Awaitable[None]]

NO_METHODS: frozenset[str] = frozenset()


class Resource(Protocol):
    """Something with a URL."""

    @property
    def label(self) -> str:
        """The name for error messages, as in "Property 'speed' of Thing 'stage'"."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """HTTP method → coroutine function that sends the response; GET is used for HEAD as well.

        A method that is neither here nor in `fallthrough_methods` is refused with 405.
        """

    @property
    def fallthrough_methods(self) -> frozenset[str]:
        """HTTP methods for which the FastAPI app has a route at the same path."""


class Router:
    """All resources of all Things.

    The event loop reads without a lock. Any thread may add: dictionaries are replaced and never
    changed, under a lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._resources: dict[str, Resource] = {}
        self._own: dict[str, Resource] = {}  # those of the two that belong to no Thing
        self._collections: dict[str, Resource] = {}
        self._things: dict[str, tuple[str, tuple[str, ...]]] = {}

    def add_thing(
        self,
        thing: str,
        path: str,
        resources: Mapping[str, Resource],
        collections: Mapping[str, Resource],
    ) -> None:
        """Add a Thing: its resources by path, and those that serve each path one segment below."""
        with self._lock:
            self._resources = {**self._resources, **resources}
            self._collections = {**self._collections, **collections}
            names = tuple(key[len(path) :] for key in resources if key.startswith(path))
            self._things = {**self._things, path: (thing, names)}

    def add_resource(self, path: str, resource: Resource) -> None:
        """Add a resource that belongs to no Thing."""
        with self._lock:
            self._resources = {**self._resources, path: resource}
            self._own = {**self._own, path: resource}

    def add_collection(self, path: str, resource: Resource) -> None:
        """Let a resource serve each path that is one segment below `path`."""
        with self._lock:
            self._collections = {**self._collections, path: resource}
            self._own = {**self._own, f"{path}/": resource}

    def find(self, path: str) -> Resource | None:
        """Return the resource at a path, or None."""
        resource = self._resources.get(path)
        if resource is None and not path.endswith("/"):
            resource = self._collections.get(path[: path.rfind("/")])
        return resource

    def find_own(self, path: str) -> Resource | None:
        """Return the resource at a path that belongs to no Thing, or None."""
        return self._own.get(path) or self._own.get(path[: path.rfind("/") + 1])

    def has_thing(self, path: str) -> bool:
        """Return True if a Thing is served at exactly this path."""
        return path in self._things

    def not_found_detail(self, path: str) -> str:
        """Return the message for a path without a resource: the names that exist near it."""
        for base, (thing, names) in self._things.items():
            if path.startswith(base):
                listed = ", ".join(sorted(name for name in names if name))
                return f"Thing {thing!r} has nothing at {path[len(base) :]!r}. It has: {listed}."
        things = ", ".join(sorted(self._things))
        return f"There is nothing at {path!r}. Things are served at: {things or 'no path yet'}."
