"""Find what would stop the start of a server, without opening a Thing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from labthings_fastapi.descriptors.declarations import remarks_for_server
from labthings_fastapi.exceptions import (
    LabThingsError,
    ServerConfigurationError,
    describe_exception,
)
from labthings_fastapi.security.credential_file import FILE_NAME

from .config.build_things import explained
from .config.unknown_keys import remarks_on_keys
from .config.validation import validated
from .config_model import configuration_error
from .server import ThingServer


def check(document: Any) -> list[str]:
    """Make a server as its start would, and return what is allowed but probably wrong.

    Its Things are made and not opened. Nothing is written to the settings folder.

    Raises:
        ServerConfigurationError: listing what would stop the start, or could not be described.
    """
    config = validated(document)
    credentials = config.security.credentials or config.settings_folder / FILE_NAME
    security = config.security.model_copy(update={"credentials": credentials})
    with tempfile.TemporaryDirectory(prefix="labthings-check-") as folder:
        trial = {"settings_folder": Path(folder), "security": security}
        try:
            server = ThingServer(config.model_copy(update=trial))
        except LabThingsError:
            raise
        except Exception as error:
            raise ServerConfigurationError(explained(error)) from error
        _raise_undescribed(server)
    return [*remarks_on_keys(config)] + [
        f"things.{name}.cls: {text}"
        for name, thing in server.things.items()
        for text in remarks_for_server(type(thing))
    ]


def _raise_undescribed(server: ThingServer) -> None:
    errors: list[str] = []
    for name, thing in server.things.items():
        try:
            thing.thing_description_dict()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - defaults come from users' code
            errors.append(f"things.{name}.cls: it cannot be described: {describe_exception(error)}")
    server.app.openapi()
    if not errors:  # otherwise they would be listed twice
        errors += [f"{what}: {reason}" for what, reason in server.app.undescribed.items()]
    if errors:
        raise configuration_error(errors)
