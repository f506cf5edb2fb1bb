"""The Things that sockets reach, by every name that a client may know them by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
from labthings_fastapi.exceptions import ThingNotFoundError
from labthings_fastapi.problems import message_problem
from labthings_fastapi.thing_description.describe import thing_id

from .identifiers import NotificationIds
from .permission import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any
    from uuid import UUID

    from starlette.types import ASGIApp

    from labthings_fastapi.bindings.interaction.things import Interactions, ThingInteraction


class SocketState:
    """What all sockets of a server share.

    Things are added from any thread, by replacing the dictionaries; all else is for the server's
    event loop.
    """

    def __init__(self, interactions: Interactions, prefix: str) -> None:
        """Serve nothing yet."""
        self.manager = interactions.manager
        self.broker = interactions.manager.broker
        self.prefix = prefix
        self.ids = NotificationIds(self.broker)
        self.app: ASGIApp | None = None
        """What stands behind the sockets: the HTTP resources and the FastAPI app."""
        self.failures: Callable[[], Mapping[str, str]] = dict
        """Path → why a Thing was not started."""
        self._executor = BoundedExecutor(
            interactions.workers, "the ids of Things", limit=1, waiting=1000
        )
        self._things: dict[str, ThingInteraction] = {}
        self._by_path: dict[str, ThingInteraction] = {}
        self._server_id: tuple[UUID | None] | None = None  # None: not asked for yet
        self._known_ids: dict[str, str] = {}  # name → id, for every Thing that was looked up
        self._by_id: dict[str, ThingInteraction] = {}
        self._changes: set[asyncio.Task[Any]] = set()

    def add(self, used: ThingInteraction) -> None:
        """Serve a Thing."""
        thing = used.thing
        self._by_path = {**self._by_path, thing.path.strip("/"): used}
        self._things = {**self._things, thing.name: used}

    def at_socket(self, path: str) -> ThingInteraction | None:
        """Return the Thing whose socket is at a path."""
        if not path.endswith("/ws"):
            return None
        return self._by_path.get(path.removesuffix("ws").strip("/"))

    async def learn_ids(self) -> None:
        """Make the ids of the Things known; the server's own may have to be read from the disk."""
        if self._server_id is None and self._things:
            one = next(iter(self._things.values()))
            self._server_id = (await self._executor.run(_server_id_of, one),)
        self._learn_new_ids()

    def _learn_new_ids(self) -> None:
        """Look up the ids of Things that were added since, also while sockets are open."""
        if self._server_id is None or len(self._known_ids) == len(self._things):
            return
        for name, used in self._things.items():
            if name not in self._known_ids:
                id = self._known_ids[name] = thing_id(used.thing, *self._server_id)
                self._by_id[id] = used

    def id_of(self, name: str) -> str:
        """Return the id of a Thing in its description; its name, while that is not known."""
        self._learn_new_ids()
        return self._known_ids.get(name, name)

    def find(self, said: str) -> ThingInteraction:
        """Return the Thing with this id, name or path.

        Raises:
            ThingNotFoundError: there is none.
        """
        self._learn_new_ids()
        path = said.removeprefix("/").removesuffix("/")
        found = self._by_id.get(said) or self._things.get(said) or self._by_path.get(path)
        if found is None:
            known = ", ".join(self._things) or "none"
            raise ThingNotFoundError(
                f"There is no Thing with the id, name or path {said[:80]!r}; there are: {known}."
            )
        return found

    def require_started(self, used: ThingInteraction) -> None:
        """Make sure that a Thing is there: a tolerant server runs without those that failed.

        Raises:
            Refused: with status 503.
        """
        detail = self.failures().get(used.thing.path)
        if detail is not None:
            raise Refused(message_problem("not-started", "The Thing was not started", 503, detail))

    def see_through(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something to its end, also if the socket that asked for it goes away."""
        task = asyncio.get_running_loop().create_task(work)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return task


def _server_id_of(used: ThingInteraction) -> UUID | None:
    return used.thing._thing_server_interface.server_id
