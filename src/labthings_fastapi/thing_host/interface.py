"""What a Thing can use of its server, and what stands in for a server."""

from __future__ import annotations

import copy
import inspect
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from labthings_fastapi.concurrency.things_loop import loop_of
from labthings_fastapi.exceptions import (
    FeatureNotEnabledError,
    GlobalLockBusyError,
    ServerNotRunningError,
)
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.private_files import make_private_folder
from labthings_fastapi.thing_description.paths import thing_path

from .observation import Observation
from .opening import Opening

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path
    from uuid import UUID

    from labthings_fastapi.messages.message import Message, MessageKind

    from .lock import GlobalLock


class ServerServices(Protocol):
    """What a server offers to all of its Things; every member is safe from any thread."""

    @property
    def broker(self) -> Broker:
        """The broker that publishes the messages of all Things."""

    @property
    def application_config(self) -> Mapping[str, Any] | None:
        """The `application_config` of the configuration, for the laboratory's own code."""

    @property
    def settings_folder(self) -> Path | None:
        """The folder of all settings; None: settings are not saved."""

    @property
    def server_id(self) -> UUID | None:
        """The unique id of the server; None if it has none."""

    @property
    def security_schemes(self) -> Sequence[str]:
        """How clients must authenticate, "bearer" or "basic"; empty: they need not."""

    @property
    def support(self) -> str | None:
        """Who looks after the instruments: a URI such as `mailto:…`, or None."""

    @property
    def language(self) -> str:
        """The language of titles and descriptions (BCP 47), as in "en"."""

    @property
    def global_lock(self) -> GlobalLock | None:
        """The server-wide lock; None if the configuration does not enable it."""

    def claim_folder(self) -> None:
        """Lock the settings folder against the servers of other processes; may wait for the disk.

        Raises:
            FolderInUseError: the server of another process uses the folder.
        """

    def thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the metadata of every Thing, by name."""

    def runs_tasks(self) -> bool:
        """Return whether Things may start tasks: their server ends them when it stops."""


class StandaloneServices:
    """The services for one Thing without a server, in a notebook or a test."""

    application_config: Mapping[str, Any] | None = None
    settings_folder: Path | None = None
    server_id: UUID | None = None
    security_schemes: Sequence[str] = ()
    support: str | None = None
    language: str = "en"
    global_lock: GlobalLock | None = None

    def __init__(self) -> None:
        """Make a broker, which nothing else publishes to."""
        self.broker = Broker(replay=100)

    def claim_folder(self) -> None:
        """Do nothing: there is no folder that another server could use."""

    def thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return nothing: there are no other Things."""
        return {}

    def runs_tasks(self) -> bool:
        """Return True: the loop of a Thing goes with the Thing."""
        return True


class ThingServerInterface:
    """What one Thing can use of its server; every member is safe from any thread."""

    def __init__(
        self,
        services: ServerServices,
        name: str,
        class_name: str | None = None,
        *,
        path: str | None = None,
    ) -> None:
        """Make the interface of the Thing called `name`, with the URL path `path`.

        `services` may be a `ThingServer`. The name of the class is in that of the settings file.
        """
        self._services: ServerServices = getattr(services, "services", services)
        self.name = name
        self.path = path if path is not None else thing_path(name)
        self.settings_file_name = f"Settings-{class_name}.json" if class_name else "Settings.json"
        self.opening = Opening()

    @property
    def application_config(self) -> Mapping[str, Any] | None:
        """A new copy of the `application_config` of the configuration, or None."""
        return copy.deepcopy(self._services.application_config)

    @property
    def settings_folder(self) -> str | None:
        """The folder for this Thing's own files, which exists; None without a server."""
        self.make_settings_folder()
        return None if self._own_folder is None else str(self._own_folder)

    def make_settings_folder(self) -> None:
        """Make the folder for this Thing's own files, if there is none."""
        if self._own_folder is not None:
            with suppress(OSError):  # whoever writes a file there gets the error
                make_private_folder(self._own_folder)

    @property
    def _own_folder(self) -> Path | None:
        folder = self._services.settings_folder
        return folder / self.name if folder is not None else None

    @property
    def server_id(self) -> UUID | None:
        """The unique id of the server; None without a server. May wait for the disk."""
        return self._services.server_id

    @property
    def security_schemes(self) -> Sequence[str]:
        """How clients must authenticate, "bearer" or "basic"; empty: they need not."""
        return self._services.security_schemes

    @property
    def description_options(self) -> dict[str, Any]:
        """What the server says of all of its Things: arguments of `describe`."""
        services = self._services
        return {
            "schemes": services.security_schemes,
            "support": services.support,
            "language": services.language,
        }

    def claim_folder(self) -> None:
        """Lock the settings folder against the servers of other processes; may wait for the disk.

        Raises:
            FolderInUseError: the server of another process uses the folder.
        """
        self._services.claim_folder()

    @property
    def settings_file_path(self) -> str | None:
        """The file of this Thing's settings; None without a server."""
        folder = self._own_folder
        return str(folder / self.settings_file_name) if folder is not None else None

    @property
    def global_lock(self) -> GlobalLock | None:
        """The server-wide lock; None if the configuration does not enable it."""
        return self._services.global_lock

    @contextmanager
    def hold_global_lock(self, error_if_unavailable: bool = True) -> Iterator[bool]:
        """Hold the server-wide lock inside a `with` block, which receives whether it is held.

        Raises:
            FeatureNotEnabledError: there is no global lock, and `error_if_unavailable` is true.
            GlobalLockBusyError: another task holds the lock, and `error_if_unavailable` is true.
        """
        lock = self.global_lock
        if lock is None and error_if_unavailable:
            raise FeatureNotEnabledError(
                f"Thing {self.name!r} cannot hold the global lock: its server has none. Set "
                "`enable_global_lock` in the configuration."
            )
        is_held = True
        with ExitStack() as stack:
            if lock is not None:
                try:
                    stack.enter_context(lock.held(f"Thing {self.name!r}"))
                except GlobalLockBusyError:
                    if error_if_unavailable:
                        raise
                    is_held = False
            yield is_held

    def observe(self, kind: MessageKind, name: str, callback: Callable[[Any], Any]) -> Observation:
        """Call `callback` with each value of a property, or with the data of each event."""
        topic = Topic(thing=self.name, affordance=name, kinds=frozenset({kind}))
        return Observation(self._services.broker, topic, callback)

    @property
    def broker(self) -> Broker:
        """The broker that publishes this Thing's messages."""
        return self._services.broker

    def publish(self, message: Message) -> None:
        """Publish a message to all subscribers; never blocks."""
        self._services.broker.publish(message)

    def get_thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the metadata of every Thing on the server, by name."""
        return self._services.thing_states()

    def start_async_task_soon(
        self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any
    ) -> Future[Any]:
        """Run a coroutine function on the Thing's loop and return a future for its result.

        Raises:
            ServerNotRunningError: the server does not run, so nobody would end the task.
            TypeError: `function` returns no coroutine.
        """
        return loop_of(self, self.name).submit(self._coroutine(function, arguments)).future

    def _coroutine(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if not self._services.runs_tasks():
            raise ServerNotRunningError(
                f"Thing {self.name!r} cannot start a task: its server does not run. Start tasks in "
                "`__enter__` or later."
            )
        found = function(*arguments)
        if not inspect.iscoroutine(found):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(f"{name} returned no coroutine: write `async def {name}(…)`.")
        return found

    def call_async_task(
        self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any
    ) -> Any:
        """Run a coroutine function on the Thing's loop and wait for its result.

        Raises:
            ServerNotRunningError, TypeError: as of `start_async_task_soon`.
        """

        async def call() -> Any:
            return await self._coroutine(function, arguments)

        if not self._services.runs_tasks():
            self._coroutine(function, arguments)  # raises the error
        return loop_of(self, self.name).call(call)


def interface_without_server(name: str) -> ThingServerInterface:
    """Return the interface of a Thing that belongs to no server."""
    return ThingServerInterface(StandaloneServices(), name)
