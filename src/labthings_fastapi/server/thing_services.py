"""The services of a server for its Things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from uuid import UUID

    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.thing_host.lock import GlobalLock
    from labthings_fastapi.thing_host.server_id import ServerId

    from .config_model import ThingServerConfig
    from .journal_lifecycle import JournalLifecycle


class ThingServices:
    """`ServerServices` of a `ThingServer`; every member is safe from any thread."""

    def __init__(
        self,
        config: ThingServerConfig,
        broker: Broker,
        global_lock: GlobalLock | None,
        server_id: ServerId,
        security_schemes: Callable[[], Sequence[str]],
        journal: JournalLifecycle,
        thing_states: Callable[[], Mapping[str, Mapping[str, Any]]],
    ) -> None:
        self.broker = broker
        self.global_lock = global_lock
        self.thing_states = thing_states
        self._config = config
        self._server_id = server_id
        self._security_schemes = security_schemes
        self._journal = journal

    @property
    def application_config(self) -> Mapping[str, Any] | None:
        return self._config.application_config

    @property
    def settings_folder(self) -> Path:
        return self._config.settings_folder

    @property
    def server_id(self) -> UUID | None:
        return self._server_id.get()

    @property
    def security_schemes(self) -> Sequence[str]:
        return self._security_schemes()

    def claim_folder(self) -> None:
        self._journal.claim_folder()
