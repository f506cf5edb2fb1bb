"""`labthings-server check`: try a configuration without starting anything."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from labthings_fastapi.server.config_model import ThingServerConfig
from labthings_fastapi.thing_description.paths import thing_path
from labthings_fastapi.thing_host.interface import StandaloneServices, ThingServerInterface
from labthings_fastapi.thing_host.lock import GlobalLock

from .build_things import build_things
from .validation import validated


class DryRunServices(StandaloneServices):
    """The services for Things that are made and never entered, with a temporary folder."""

    def __init__(self, config: ThingServerConfig, settings_folder: Path) -> None:
        super().__init__()
        self.application_config = config.application_config
        self.settings_folder = settings_folder
        self.global_lock = GlobalLock() if config.enable_global_lock else None


def check(document: Any) -> ThingServerConfig:
    """Return the configuration if its Things can be made and connected; this makes them."""
    config = validated(document)
    with tempfile.TemporaryDirectory(prefix="labthings-check-") as folder:
        services = DryRunServices(config, Path(folder))

        def interface_for(name: str) -> ThingServerInterface:
            return ThingServerInterface(services, name, thing_path(name, config.api_prefix))

        build_things(config, interface_for)
    return config
