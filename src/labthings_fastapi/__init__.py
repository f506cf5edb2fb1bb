"""LabThings: laboratory hardware on the network.

`import labthings_fastapi as lt` is the front door: everything that most users need is here, under
the name that the documentation uses. Rooms load when something of theirs is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import exceptions
    from .actions.context import cancellable_sleep, raise_if_cancelled, shield
    from .actions.progress import progress, track
    from .decorators import action, endpoint, property, thing_slot
    from .descriptors.data_property import DataProperty
    from .hosting.interface import ThingServerInterface
    from .outputs import blob
    from .server import cli
    from .server.config_model import ThingConfig, ThingServerConfig
    from .server.server import ThingServer
    from .thing import Thing

_WHERE = {
    "DataProperty": "descriptors.data_property",
    "Thing": "thing",
    "ThingConfig": "server.config_model",
    "ThingServer": "server.server",
    "ThingServerConfig": "server.config_model",
    "ThingServerInterface": "hosting.interface",
    "action": "decorators",
    "cancellable_sleep": "actions.context",
    "endpoint": "decorators",
    "progress": "actions.progress",
    "property": "decorators",
    "raise_if_cancelled": "actions.context",
    "shield": "actions.context",
    "thing_slot": "decorators",
    "track": "actions.progress",
}
_MODULES = {
    "blob": "outputs.blob",
    "cli": "server.cli",
    "exceptions": "exceptions",
}

__all__ = [
    "DataProperty",
    "Thing",
    "ThingConfig",
    "ThingServer",
    "ThingServerConfig",
    "ThingServerInterface",
    "action",
    "blob",
    "cancellable_sleep",
    "cli",
    "endpoint",
    "exceptions",
    "progress",
    "property",
    "raise_if_cancelled",
    "shield",
    "thing_slot",
    "track",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        found: Any = import_module(f"{__name__}.{_MODULES[name]}")
    elif name in _WHERE:
        found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
