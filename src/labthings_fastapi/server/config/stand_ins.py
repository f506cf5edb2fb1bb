"""Objects with the class of a Thing, to check whether slots can be filled before Things exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from labthings_fastapi.descriptors.slot import UNSET, ThingSlot
from labthings_fastapi.exceptions import ThingSlotError


def stand_in(cls: Any, name: str) -> Any:
    """Return an object that is an instance of `cls` to `isinstance`, without calling `cls`."""
    members = {"__class__": property(lambda _self: cls), "name": name}
    return type(cls.__name__, (), members)()


def fill_with_stand_ins(
    slot: ThingSlot[Any],
    owner: str,
    known: Mapping[str, Any],
    unknown: Iterable[str],
    chosen: Mapping[str, Any],
) -> None:
    """Fill a slot of the stand-in called `owner`."""
    names = chosen.get(slot.name, UNSET)
    thing = known[owner]
    wildcards = _wildcards(slot, unknown)
    if names is not UNSET or slot.default is not UNSET:
        slot.fill(thing, {**known, **wildcards}, names)
        return
    try:
        slot.fill(thing, known, names)
    except ThingSlotError:
        if not wildcards or not _fits_with_one_more(slot, thing, known, wildcards):
            raise


def _wildcards(slot: ThingSlot[Any], names: Iterable[str]) -> dict[str, Any]:
    wanted = slot.wanted()[0][0]
    return {name: stand_in(wanted, name) for name in names}


def _fits_with_one_more(
    slot: ThingSlot[Any], thing: Any, known: Mapping[str, Any], wildcards: Mapping[str, Any]
) -> bool:
    # All wildcards have the same class, so the first one stands for any.
    name, wildcard = next(iter(wildcards.items()))
    try:
        slot.fill(thing, {**known, name: wildcard}, UNSET)
    except ThingSlotError:
        return False
    return True
