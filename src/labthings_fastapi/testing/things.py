"""Make Things for tests, without a server and with stand-ins in their slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import Mock
from urllib.parse import urlencode

# Pytest always loads this package with its plugin, so functions import what they need.
if TYPE_CHECKING:
    from labthings_fastapi.descriptors.slot import ThingSlot
    from labthings_fastapi.thing import Thing

_KEPT = "labthings kept for slots"
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
        settings_folder: the folder of the settings file; None: a temporary folder, which is
            deleted with the Thing.
        mock_all_slots: True puts a stand-in into each slot; `manually_connect_thing_slot` replaces
            it.
        enable_global_lock: True gives the Thing a global lock, as in a server that has one.
        kwargs: keyword arguments of the class.

    Raises:
        TypeError: the arguments do not fit the class.
        ValueError: `thing_server_interface` is among them.
    """
    from labthings_fastapi.server.config.build_things import make_thing
    from labthings_fastapi.thing import slots_of

    from .services import MockThingServerInterface

    if "thing_server_interface" in kwargs:
        raise ValueError(
            "create_thing_without_server makes the interface itself: you may not supply "
            "`thing_server_interface`."
        )
    interface = MockThingServerInterface(
        *(cls.__name__.lower(), cls.__name__, settings_folder, enable_global_lock)
    )
    thing = make_thing(cls, interface, list(args), kwargs)
    if mock_all_slots:
        for slot in slots_of(cls).values():
            slot.put(thing, _stand_ins(slot))
    thing.load_settings()
    return thing


def _stand_ins(slot: ThingSlot[Any]) -> Any:
    """Return what `mock_all_slots` puts into a slot."""
    from labthings_fastapi.descriptors.slot import UNSET

    cls = slot.thing_type[0]
    if slot.is_mapping:
        names = slot.default
        if names is None:
            return {}
        listed = [names] if isinstance(names, str) else None if names is UNSET else list(names)
        named = [f"mock-{slot.name}"] if listed is None else listed
        return {name: mock_thing_instance(cls, name) for name in named}
    if slot.default is None and slot.is_optional:
        return None
    name = slot.default if isinstance(slot.default, str) else f"mock-{slot.name}"
    return mock_thing_instance(cls, name)


def mock_thing_instance(spec: type[Any], name: str | None = None) -> Any:
    """Return a stand-in for a Thing of class `spec`: a `Mock` that is an instance of `spec`.

    It has an interface of its own, so that the descriptors of the class can be used with it.
    """
    from .services import MockThingServerInterface

    stand_in = Mock(spec=spec)
    stand_in.name = f"mock-{spec.__name__.lower()}" if name is None else name
    stand_in._thing_server_interface = MockThingServerInterface(stand_in.name, spec.__name__)
    stand_in._class_settings = getattr(spec, "_class_settings", {})
    return stand_in


def manually_connect_thing_slot(host: Thing, slot_name: str, target: Any) -> None:
    """Put a Thing, a stand-in of `mock_thing_instance`, or several, into a slot of `host`.

    Several are a list, or a mapping of names; `host` keeps them.

    Args:
        host: the Thing with the slot.
        slot_name: the name of the slot.
        target: what the slot holds from now on; None for nothing, where the slot allows it.

    Raises:
        AttributeError: `host` has no slot of this name.
        TypeError: a target is no Thing, such as a bare `Mock`.
        KeyError: several targets have the same name.
        ThingSlotError: the slot takes others, or another number of them.
    """
    from labthings_fastapi.thing import slots_of

    slots = slots_of(type(host))
    if slot_name not in slots:
        known = ", ".join(slots) or "none"
        raise AttributeError(
            f"{type(host).__name__} has no slot {slot_name!r}. Its slots: {known}."
        )
    things = _named(target)
    slot = slots[slot_name]
    chosen: Any = list(things)
    if not slot.is_mapping and len(chosen) < 2:
        chosen = chosen[0] if chosen else None
    slot.connect(host, things, chosen)
    # The slot alone would not keep what nobody else has.
    host.__dict__.setdefault(_KEPT, {})[slot_name] = things


def _named(target: Any) -> Mapping[str, Any]:
    from labthings_fastapi.thing import Thing
    from labthings_fastapi.thing_description.paths import name_of

    if isinstance(target, Mapping):
        pairs = list(target.items())
    else:
        targets = [] if target is None else [target] if _is_one(target) else list(target)
        for each in targets:
            if not isinstance(each, Thing):
                raise TypeError(
                    f"A slot takes Things and stand-ins of `mock_thing_instance(Class)`, and "
                    f"{each!r} is neither."
                )
        pairs = [(name_of(each), each) for each in targets]
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise KeyError(f"The Things {', '.join(names)} are not uniquely named.")
    return dict(pairs)


def _is_one(target: Any) -> bool:
    return not isinstance(target, list | tuple | set | frozenset)


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
