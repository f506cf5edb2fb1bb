"""The Things that sockets serve, and everything else that all sockets share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
from labthings_fastapi.exceptions import ThingNotFoundError
from labthings_fastapi.thing_description.describe import thing_id
from labthings_fastapi.thing_description.paths import path_of

from .identifiers import NotificationIds
from .requests import read_message

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any
    from uuid import UUID

    from starlette.types import ASGIApp

    from labthings_fastapi.bindings.interaction.things import Interactions, ThingInteraction
    from labthings_fastapi.messages.message import Message

    from .requests import Members


class SocketState:
    """What all sockets of a server share.

    `add` may be called from any thread: it replaces dictionaries and never changes them. All else
    is for the server's event loop.
    """

    def __init__(self, interactions: Interactions, prefix: str) -> None:
        """Start without Things."""
        self.manager = interactions.manager
        self.broker = interactions.manager.broker
        self.prefix = prefix
        self.ids = NotificationIds(self.broker)
        self.app: ASGIApp | None = None
        """The app behind the sockets, with the HTTP resources of the Things."""
        self._executor = BoundedExecutor(
            interactions.workers, "The id of the server", limit=1, waiting=1000
        )
        self._parser = BoundedExecutor(
            interactions.workers, "Large messages of sockets", limit=1, waiting=1000
        )
        self._by_name: dict[str, ThingInteraction] = {}
        self._by_path: dict[str, ThingInteraction] = {}
        self._by_id: dict[str, ThingInteraction] = {}
        self._ids: dict[str, str] = {}  # by name
        self._server_id: tuple[UUID | None] | None = None  # None: not loaded yet
        self._without_data: frozenset[tuple[str, str]] = frozenset()  # Thing, event
        self._changes: set[asyncio.Task[Any]] = set()

    def add(self, interaction: ThingInteraction) -> None:
        """Serve a Thing."""
        path = path_of(interaction.thing).strip("/")
        self._by_path = {**self._by_path, path: interaction}
        self._by_name = {**self._by_name, interaction.name: interaction}
        events = interaction.thing.event_descriptors.items()
        without_data = [name for name, event in events if not event.has_data]
        self._without_data |= {(interaction.name, name) for name in without_data}

    def is_without_data(self, message: Message) -> bool:
        """Whether this is the message of an event that is declared without data."""
        return (message.thing, message.affordance) in self._without_data

    def thing_at(self, path: str) -> ThingInteraction | None:
        """Return the Thing whose socket has this path, or None."""
        if not path.endswith("/ws"):
            return None
        return self._by_path.get(path.removesuffix("ws").strip("/"))

    async def load_server_id(self) -> None:
        """Load the id of the server, perhaps from the disk; the ids of the Things contain it."""
        if self._server_id is None and self._by_name:
            interaction = next(iter(self._by_name.values()))
            self._server_id = (await self._executor.run(_server_id, interaction),)

    async def read_large(self, text: str) -> Members:
        """Parse a large message, one at a time of all sockets, while the event loop goes on.

        Raises:
            LabThingsError: see `read_message`.
            TooBusyError: 1,000 sockets wait.
        """
        return await self._parser.run(read_message, text)

    def _update_ids(self) -> None:
        if self._server_id is None or len(self._ids) == len(self._by_name):
            return
        things = self._by_name
        self._ids = {name: thing_id(each.thing, *self._server_id) for name, each in things.items()}
        self._by_id = {self._ids[name]: each for name, each in things.items()}

    def id_of(self, name: str) -> str:
        """Return the id of a Thing in its description, or its name if the id is not known yet."""
        self._update_ids()
        return self._ids.get(name, name)

    def find(self, label: str) -> ThingInteraction:
        """Return the Thing with this id, name or path.

        Raises:
            ThingNotFoundError: there is none.
        """
        self._update_ids()
        path = label.removeprefix("/").removesuffix("/")
        found = self._by_id.get(label) or self._by_name.get(label) or self._by_path.get(path)
        if found is None:
            raise ThingNotFoundError(
                f"No Thing has the id, name or path {label[:80]!r}. The Things of this server are: "
                f"{', '.join(self._by_name) or 'none'}."
            )
        return found

    def run_to_end(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a change to its end, even if the socket that requested it closes."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)


def _server_id(interaction: ThingInteraction) -> UUID | None:
    return interaction.thing._thing_server_interface.server_id
