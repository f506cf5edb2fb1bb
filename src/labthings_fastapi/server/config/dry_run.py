"""`labthings-server check`: try a configuration without starting anything."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labthings_fastapi.thing_description.paths import thing_path
from labthings_fastapi.thing_host.interface import StandaloneServices, ThingServerInterface
from labthings_fastapi.thing_host.lock import GlobalLock

from .build_things import build_things
from .validation import validated

if TYPE_CHECKING:
    from labthings_fastapi.server.config_model import ThingServerConfig


class DryRunServices(StandaloneServices):
    """A house in which Things are made and never opened; what they save goes away with it."""

    def __init__(self, config: ThingServerConfig, settings_folder: Path) -> None:
        """Offer what the server would."""
        super().__init__()
        self.application_config = config.application_config
        self.settings_folder = settings_folder
        self.global_lock = GlobalLock() if config.enable_global_lock else None


def check(given: Any) -> ThingServerConfig:
    """Return a configuration that is fine: its Things can be made, which this does, and connected.

    Nothing is opened, and the real settings are neither read nor written.

    Raises:
        ServerConfigurationError: every mistake, as `reviewed` or `build_things` found it.
    """
    config = validated(given)
    with tempfile.TemporaryDirectory(prefix="labthings-check-") as folder:
        services = DryRunServices(config, Path(folder))

        def interface_for(name: str) -> ThingServerInterface:
            return ThingServerInterface(services, name, thing_path(name, config.api_prefix))

        build_things(config, interface_for)
    return config
