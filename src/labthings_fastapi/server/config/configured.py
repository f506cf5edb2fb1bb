"""What the arguments of `ThingServer` stand for, the older ways of making a server among them.

Those are accepted, with a DeprecationWarning that names the new way.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing import Thing

from .unknown_keys import remarks_on_keys
from .validation import validated

if TYPE_CHECKING:
    from labthings_fastapi.server.config_model import ThingServerConfig

LOGGER = own_logger("server")
_LEVEL = 5  # of the line that makes the server


def configured(
    config: ThingServerConfig | Mapping[str, Any] | None, keywords: Mapping[str, Any]
) -> ThingServerConfig:
    """Return a valid configuration; keys that mean nothing are told in the log.

    Raises:
        ServerConfigurationError: listing every error by its path.
        ValueError: there is a whole configuration, and keywords beside it.
        TypeError: it is neither a configuration nor a mapping of Things.
    """
    found = validated(_document(config, keywords))
    for remark in remarks_on_keys(found):
        LOGGER.warning("The configuration: %s", remark)
    return found


def _document(
    config: ThingServerConfig | Mapping[str, Any] | None, keywords: Mapping[str, Any]
) -> ThingServerConfig | Mapping[str, Any]:
    if isinstance(config, Mapping) and config and all(map(_is_thing, config.values())):
        deprecated("Write ThingServer.from_things({…}): a mapping of Things is no configuration.")
        return {"things": dict(config), **keywords}
    if config is None:
        if keywords:
            deprecated(
                "The configuration of a server as keyword arguments is deprecated: write "
                "ThingServer({…}), or ThingServer.from_things({…}, …)."
            )
        return dict(keywords)
    if keywords:
        raise ValueError(
            "ThingServer takes a whole configuration and no extra keyword arguments: put "
            f"{', '.join(keywords)} into the configuration."
        )
    if not isinstance(config, Mapping) and not hasattr(config, "things"):
        raise TypeError(
            f"ThingServer takes a configuration, and {config!r:.100} is none. To make a server of "
            "Things, write ThingServer.from_things({'name': Class})."
        )
    return config


def deprecated(text: str, level: int = _LEVEL) -> None:
    """Warn the line that makes the server."""
    warnings.warn(text, DeprecationWarning, stacklevel=level)


def _is_thing(value: Any) -> bool:
    from labthings_fastapi.server.config_model import ThingConfig

    if isinstance(value, type):
        return issubclass(value, Thing)
    return isinstance(value, ThingConfig)
