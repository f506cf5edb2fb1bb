"""`labthings-server check`: try a configuration without starting anything."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labthings_fastapi.hosting.interface import EmptyHouse, ThingServerInterface
from labthings_fastapi.hosting.lock import GlobalLock
from labthings_fastapi.thing_description.paths import thing_path

from .review import reviewed
from .wiring import build_things

if TYPE_CHECKING:
    from .config_model import ThingServerConfig


class TrialHouse(EmptyHouse):
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
    config = reviewed(given)
    with tempfile.TemporaryDirectory(prefix="labthings-check-") as folder:
        house = TrialHouse(config, Path(folder))

        def interface_for(name: str) -> ThingServerInterface:
            return ThingServerInterface(house, name, thing_path(name, config.api_prefix))

        build_things(config, interface_for)
    return config
