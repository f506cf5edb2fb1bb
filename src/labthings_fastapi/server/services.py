"""What a server offers to its Things."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.thing_host.lock import GlobalLock

if TYPE_CHECKING:
    from uuid import UUID

    from .config_model import ThingServerConfig


class ThingServices:
    """`ServerServices` of a `ThingServer`; every member is safe from any thread."""

    def __init__(
        self,
        config: ThingServerConfig,
        broker: Broker,
        *,
        server_id: Callable[[], UUID | None],
        security_schemes: Callable[[], Sequence[str]],
        claim_folder: Callable[[], None],
        thing_states: Callable[[], Mapping[str, Mapping[str, Any]]],
        runs_tasks: Callable[[], bool],
    ) -> None:
        self.broker = broker
        self.application_config = config.application_config
        self.support, self.language = config.support, config.language
        self.settings_folder = config.settings_folder
        lock = GlobalLock(log_level=config.global_lock_log_level)
        self.global_lock = lock if config.enable_global_lock else None
        self.claim_folder = claim_folder
        self.thing_states = thing_states
        self.runs_tasks = runs_tasks
        self._server_id = server_id
        self._security_schemes = security_schemes

    @property
    def server_id(self) -> UUID | None:
        return self._server_id()

    @property
    def security_schemes(self) -> Sequence[str]:
        return self._security_schemes()
