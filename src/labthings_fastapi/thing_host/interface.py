"""A Thing's view of its server."""

from __future__ import annotations

import copy
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from labthings_fastapi.concurrency.things_loop import things_loop
from labthings_fastapi.exceptions import GlobalLockBusyError
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.thing_description.paths import thing_path

from .observation import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path
    from uuid import UUID

    from labthings_fastapi.messages.message import Message, MessageKind

    from .lock import GlobalLock


class ServerServices(Protocol):
    """What a server offers to all of its Things; safe from any thread."""

    @property
    def broker(self) -> Broker:
        """Where messages are published."""

    @property
    def application_config(self) -> Mapping[str, Any] | None:
        """The part of the configuration that belongs to the laboratory."""

    @property
    def settings_folder(self) -> Path | None:
        """Where settings are kept; None: nowhere."""

    @property
    def server_id(self) -> UUID | None:
        """What tells this server from all others; None: nothing does."""

    @property
    def security_schemes(self) -> Sequence[str]:
        """How clients must show who they are, "bearer" or "basic"; empty: they need not."""

    @property
    def global_lock(self) -> GlobalLock | None:
        """The server-wide lock; None if there is none."""

    def claim_folder(self) -> None:
        """Keep the servers of other processes out of the settings folder; may wait for the disk.

        Raises:
            FolderInUseError: one of them was first.
        """

    def thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """The metadata of every Thing, by name."""


class StandaloneServices:
    """The house of a Thing without a server: in a notebook or a test."""

    application_config: Mapping[str, Any] | None = None
    settings_folder: Path | None = None
    server_id: UUID | None = None
    security_schemes: Sequence[str] = ()
    global_lock: GlobalLock | None = None

    def __init__(self) -> None:
        """Make the broker only if somebody publishes or listens."""
        self._brokers: dict[str, Broker] = {}  # one at most

    def claim_folder(self) -> None:
        """Do nothing: there is no folder."""

    @property
    def broker(self) -> Broker:
        """A broker of its own."""
        # Without a lock: a finaliser may ask while its own thread makes the broker.
        found = self._brokers.get("own")
        return found if found is not None else self._brokers.setdefault("own", Broker(replay=100))

    def thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """No other Things live here."""
        return {}


class ThingServerInterface:
    """What one Thing may ask of its server; every member is safe from any thread."""

    def __init__(self, services: ServerServices, name: str, path: str | None = None) -> None:
        """Speak for the Thing called `name`, served at `path`."""
        self._services = services
        self.name = name
        self.path = path if path is not None else thing_path(name)
        self.settings_file_name = "Settings.json"

    @property
    def application_config(self) -> Mapping[str, Any] | None:
        """A fresh copy of the laboratory's part of the configuration, or None."""
        return copy.deepcopy(self._services.application_config)

    @property
    def settings_folder(self) -> Path | None:
        """Where this Thing may keep files of its own; None without a server."""
        folder = self._services.settings_folder
        return folder / self.name if folder is not None else None

    @property
    def server_id(self) -> UUID | None:
        """What tells this server from all others; None without a server. May wait for the disk."""
        return self._services.server_id

    @property
    def security_schemes(self) -> Sequence[str]:
        """How clients must show who they are, "bearer" or "basic"; empty: they need not."""
        return self._services.security_schemes

    def claim_folder(self) -> None:
        """Keep the servers of other processes out of the settings folder; may wait for the disk.

        Raises:
            FolderInUseError: one of them was first.
        """
        self._services.claim_folder()

    @property
    def settings_file_path(self) -> Path | None:
        """Where this Thing's settings are saved; None without a server."""
        folder = self.settings_folder
        return folder / self.settings_file_name if folder is not None else None

    @property
    def global_lock(self) -> GlobalLock | None:
        """The server-wide lock; None if there is none."""
        return self._services.global_lock

    @contextmanager
    def hold_global_lock(self, error_if_unavailable: bool = True) -> Iterator[bool]:
        """Hold the server-wide lock for a while; gives whether it is held.

        Raises:
            GlobalLockBusyError: another task holds it, and `error_if_unavailable`.
        """
        lock = self.global_lock
        if lock is None:
            yield True
        elif error_if_unavailable:
            with lock.held(f"Thing {self.name!r}"):
                yield True
        else:
            with ExitStack() as stack:
                try:
                    stack.enter_context(lock.held(f"Thing {self.name!r}"))
                    is_held = True
                except GlobalLockBusyError:
                    is_held = False
                yield is_held

    def observe(self, kind: MessageKind, name: str, callback: Callable[[Any], Any]) -> Observation:
        """Call `callback` with each value of a property, or with the data of each event."""
        topic = Topic(thing=self.name, affordance=name, kinds=frozenset({kind}))
        return Observation(self._services.broker, topic, callback)

    @property
    def broker(self) -> Broker:
        """Where this Thing's messages go."""
        return self._services.broker

    def publish(self, message: Message) -> None:
        """Tell subscribers that something happened; never blocks."""
        self._services.broker.publish(message)

    def get_thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the metadata of every Thing on the server, by name."""
        return self._services.thing_states()

    def start_async_task_soon(
        self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any
    ) -> Future[Any]:
        """Run a coroutine function on the Things' loop and return a future for its result."""
        return things_loop().submit(function(*arguments)).future

    def call_async_task(
        self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any
    ) -> Any:
        """Run a coroutine function on the Things' loop and wait for its result."""
        return things_loop().call(function, *arguments)


def interface_without_server(name: str) -> ThingServerInterface:
    """Return the interface of a Thing that lives on its own."""
    return ThingServerInterface(StandaloneServices(), name)
