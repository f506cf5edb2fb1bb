"""Things on their own, for tests: in a temporary house, with stand-ins in their slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import Mock
from urllib.parse import urlencode

# Every run of pytest loads this package with its plugin, so the rest is imported when it is used.
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
    """Make a Thing as a server would, but without one; its settings are loaded.

    Without a `settings_folder`, a temporary one is used. With `mock_all_slots`, each slot gets a
    stand-in; `manually_connect_thing_slot` puts something of yours there.
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
            classes, _, many = slot.wanted()
            stand_in = mock_thing_instance(classes[0])
            manually_connect_thing_slot(thing, name, {name: stand_in} if many else stand_in)
    thing.load_settings()
    return thing


def mock_thing_instance(cls: type[Any]) -> Any:
    """Return a stand-in for a Thing of class `cls`: a `Mock` that passes for an instance."""
    stand_in = Mock(spec=cls)
    stand_in.name = f"mock-{cls.__name__.lower()}"
    return stand_in


def manually_connect_thing_slot(host: Thing, slot: str, target: Any) -> None:
    """Put `target`, a Thing or a mapping of them, in a slot of `host`."""
    from labthings_fastapi.thing import slots_of

    slots = slots_of(type(host))
    if slot not in slots:
        known = ", ".join(slots) or "none"
        raise AttributeError(f"{type(host).__name__} has no slot {slot!r}; its slots are: {known}.")
    slots[slot].connect(host, target)


@contextmanager
def use_dummy_url_for() -> Iterator[Callable[..., str]]:
    """Give a `url_for` that needs no server, for tests of older code that expects to be given one.

    Values of ours are written without one, so this changes nothing else.
    """

    def url_for(endpoint: str, **path_params: Any) -> str:
        return f"urlfor://{endpoint}/?{urlencode(path_params)}"

    yield url_for
