"""Objects that pass for Things, to see whether slots can be filled before any Thing is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labthings_fastapi.descriptors.slot import UNSET
from labthings_fastapi.exceptions import ThingSlotError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labthings_fastapi.descriptors.slot import ThingSlot


def stand_in(cls: Any, name: str) -> Any:
    """Return an object that `isinstance` takes for a Thing of class `cls`, without calling `cls`.

    An instance that was never initialised would do, were there no classes with a `__del__`.
    """
    members = {"__class__": property(lambda _self: cls), "name": name}
    return type(cls.__name__, (), members)()


def fill_with_stand_ins(
    slot: ThingSlot[Any],
    host: str,
    known: Mapping[str, Any],
    unknown: Iterable[str],
    chosen: Mapping[str, Any],
) -> None:
    """Fill a slot of the stand-in called `host`; Things of unknown class may fit anywhere.

    Raises:
        ThingSlotError: it cannot be filled, whatever the unknown ones are.
    """
    names = chosen.get(slot.name, UNSET)
    one = known[host]
    wildcards = _wildcards(slot, unknown)
    if names is not UNSET or slot.default is not UNSET:
        slot.fill(one, {**known, **wildcards}, names)
        return
    try:
        slot.fill(one, known, names)
    except ThingSlotError:
        # Perhaps just one of the unknown ones is what is missing here.
        if not _fits_with_one_more(slot, one, known, wildcards):
            raise


def _wildcards(slot: ThingSlot[Any], names: Iterable[str]) -> dict[str, Any]:
    wanted = slot.wanted()[0][0]
    return {name: stand_in(wanted, name) for name in names}


def _fits_with_one_more(
    slot: ThingSlot[Any], host: Any, known: Mapping[str, Any], wildcards: Mapping[str, Any]
) -> bool:
    for name, wildcard in wildcards.items():
        try:
            slot.fill(host, {**known, name: wildcard}, UNSET)
        except ThingSlotError:
            return False
        return True
    return False
