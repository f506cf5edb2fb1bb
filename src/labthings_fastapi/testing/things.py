"""Make Things for tests, without a server and with stand-ins in their slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import Mock
from urllib.parse import urlencode

# Pytest always loads this package with its plugin, so functions import what they need.
if TYPE_CHECKING:
    from labthings_fastapi.thing import Thing

T = TypeVar("T", bound="Thing")


def create_thing_without_server(
    cls: type[T],
    *args: Any,
    settings_folder: str | Path | None = None,
    mock_all_slots: bool = False,
    enable_global_lock: bool = True,
    **kwargs: Any,
) -> T:
    """Make a Thing for a test in the way a server does; its settings are loaded.

    The Thing is not opened: a test calls `__enter__` and `__exit__`, if there are any, by `with`.

    Args:
        cls: the class of the Thing.
        args: positional arguments of the class.
        settings_folder: the folder for settings; None: a temporary folder, which is deleted with
            the Thing.
        mock_all_slots: True puts a stand-in into each slot; `manually_connect_thing_slot` replaces
            it.
        enable_global_lock: True gives the Thing a global lock, as in a server that has one.
        kwargs: keyword arguments of the class.

    Raises:
        TypeError: the arguments do not fit the class.
    """
    from labthings_fastapi.server.config.build_things import make_thing
    from labthings_fastapi.thing import slots_of
    from labthings_fastapi.thing_host.interface import ThingServerInterface

    from .services import TestServices

    folder = Path(settings_folder) if settings_folder is not None else None
    services = TestServices(folder, enable_global_lock=enable_global_lock)
    interface = ThingServerInterface(services, cls.__name__.lower())
    thing = make_thing(cls, interface, list(args), kwargs)
    if mock_all_slots:
        for name, slot in slots_of(cls).items():
            wanted = slot.wanted()
            stand_in = mock_thing_instance(wanted.classes[0])
            slot.connect(thing, {name: stand_in} if wanted.many else stand_in)
    thing.load_settings()
    return thing


def mock_thing_instance(cls: type[Any]) -> Any:
    """Return a stand-in for a Thing of class `cls`: a `Mock` that is an instance of `cls`."""
    stand_in = Mock(spec=cls)
    stand_in.name = f"mock-{cls.__name__.lower()}"
    stand_in._thing_server_interface.name = stand_in.name
    return stand_in


def manually_connect_thing_slot(host: Thing, slot: str, target: Any) -> None:
    """Put a Thing, a stand-in or a mapping of them into a slot of `host`.

    Raises:
        AttributeError: `host` has no slot of this name.
    """
    from labthings_fastapi.thing import slots_of

    slots = slots_of(type(host))
    if slot not in slots:
        known = ", ".join(slots) or "none"
        raise AttributeError(f"{type(host).__name__} has no slot {slot!r}. Its slots: {known}.")
    slots[slot].connect(host, target)


@contextmanager
def use_dummy_url_for() -> Iterator[Callable[..., str]]:
    """Return a context manager in which blobs can be serialised without a server.

    Their `href` is then `urlfor://download_blob/?blob_id=<id>`. It gives a `url_for` function for
    tests of older code that needs one.
    """

    def url_for(endpoint: str, **path_params: Any) -> str:
        return f"urlfor://{endpoint}/?{urlencode(path_params)}"

    from labthings_fastapi.outputs.links import links_from

    with links_from(_DummyLinks(url_for)):
        yield url_for


class _DummyLinks:
    def __init__(self, url_for: Callable[..., str]) -> None:
        self._url_for = url_for

    def publish(self, data: Any) -> str:
        return self._url_for("download_blob", blob_id=data.id)
