"""LabThings: laboratory hardware on the network.

Use it as `import labthings_fastapi as lt`: it has every name that most users need. The modules
behind a name are imported when the name is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import exceptions as exceptions

if TYPE_CHECKING:
    from . import outputs
    from .actions.context import cancellable_sleep, output_folder, raise_if_cancelled, shield
    from .actions.logs import get_thing_logger
    from .actions.progress import progress, track
    from .actions.threads import ThreadWithInvocationID
    from .client.async_thing_client import AsyncThingClient
    from .client.bench import connect
    from .client.thing_client import ThingClient
    from .decorators import action, endpoint, event, property, setting, thing_slot
    from .descriptors.data_property import DataProperty
    from .descriptors.event import Event
    from .descriptors.setting import DataSetting
    from .outputs import blob
    from .server import cli
    from .server.config_model import ThingConfig, ThingServerConfig
    from .server.server import ThingServer
    from .thing import Thing
    from .thing_class_settings import ThingClassSettings
    from .thing_host.hold import hold
    from .thing_host.interface import ThingServerInterface

_DEFINED_IN = {
    "AsyncThingClient": "client.async_thing_client",
    "DataProperty": "descriptors.data_property",
    "DataSetting": "descriptors.setting",
    "Event": "descriptors.event",
    "Thing": "thing",
    "ThingClassSettings": "thing_class_settings",
    "ThingClient": "client.thing_client",
    "ThingConfig": "server.config_model",
    "ThingServer": "server.server",
    "ThingServerConfig": "server.config_model",
    "ThingServerInterface": "thing_host.interface",
    "ThreadWithInvocationID": "actions.threads",
    "action": "decorators",
    "cancellable_sleep": "actions.context",
    "connect": "client.bench",
    "endpoint": "decorators",
    "event": "decorators",
    "get_thing_logger": "actions.logs",
    "hold": "thing_host.hold",
    "output_folder": "actions.context",
    "progress": "actions.progress",
    "property": "decorators",
    "raise_if_cancelled": "actions.context",
    "setting": "decorators",
    "shield": "actions.context",
    "thing_slot": "decorators",
    "track": "actions.progress",
}
_MODULES = {
    "blob": "outputs.blob",
    "cli": "server.cli",
    "outputs": "outputs",
}

__all__ = [
    "AsyncThingClient",
    "DataProperty",
    "DataSetting",
    "Event",
    "Thing",
    "ThingClassSettings",
    "ThingClient",
    "ThingConfig",
    "ThingServer",
    "ThingServerConfig",
    "ThingServerInterface",
    "ThreadWithInvocationID",
    "action",
    "blob",
    "cancellable_sleep",
    "cli",
    "connect",
    "endpoint",
    "event",
    "get_thing_logger",
    "hold",
    "output_folder",
    "outputs",
    "progress",
    "property",
    "raise_if_cancelled",
    "setting",
    "shield",
    "thing_slot",
    "track",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(f"{__name__}.{_MODULES[name]}")
    elif name in _DEFINED_IN:
        value = getattr(import_module(f"{__name__}.{_DEFINED_IN[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
