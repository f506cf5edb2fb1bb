"""The server's services for a Thing in a test, without a server."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labthings_fastapi.private_files import make_private_folder
from labthings_fastapi.thing_host.interface import StandaloneServices, ThingServerInterface
from labthings_fastapi.thing_host.lock import GlobalLock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class MockThingServerInterface(ThingServerInterface):
    """What a Thing has of its server in a test, without a server; any thread may use it.

    The settings folder is the given one itself, or a temporary one, made at its first use and
    deleted with the interface. Tasks that are started soon are not run.
    """

    def __init__(
        self,
        name: str,
        class_name: str | None = None,
        settings_folder: str | Path | None = None,
        enable_global_lock: bool = False,
    ) -> None:
        """Make the interface of a Thing called `name`, of the class `class_name`."""
        services = StandaloneServices()
        services.global_lock = GlobalLock() if enable_global_lock else None
        super().__init__(services, name, class_name)
        self._given_folder = None if settings_folder is None else Path(settings_folder)

    @property
    def _own_folder(self) -> Path:
        return self._temporary_folder if self._given_folder is None else self._given_folder

    @cached_property
    def _temporary_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="labthings-settings-"))
        # Not a TemporaryDirectory: it warns if it is not closed, which fails a test.
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    @property
    def settings_folder(self) -> str:
        """The folder for settings, which exists."""
        make_private_folder(self._own_folder)
        return str(self._own_folder)

    def start_async_task_soon(
        self,
        function: Callable[..., Any],  # noqa: ARG002 - the signature is that of the real one
        *arguments: Any,  # noqa: ARG002
    ) -> Future[Any]:
        """Run nothing, and return a future that is cancelled."""
        future: Future[Any] = Future()
        future.cancel()
        return future

    def get_thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return nothing: there are no other Things."""
        return {}

    @property
    def services(self) -> Any:
        """There is no server.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"Thing {self.name!r} has no server: it is made for a test.")

    _server = services
