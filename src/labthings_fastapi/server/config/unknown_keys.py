"""Keys of a configuration that mean nothing to a server: told, and no mistake.

Files of laboratories have keys for their own programs. A key that may be meant for `security` is a
mistake, because the server would be open although its owner closed it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from labthings_fastapi.server.config_model import ThingConfig, ThingServerConfig
from labthings_fastapi.thing import slots_of

_SAFETY = {"security": "security", "authentication": "security.authentication"}
"""What must not be ignored, and where it belongs."""


def remarks_on_keys(config: ThingServerConfig) -> Iterator[str]:
    """Yield a remark for each key that is ignored, with its place and the nearest known key."""
    for key in config.model_extra or ():
        yield _remark(key, ThingServerConfig.model_fields)
    for name, thing in config.things.items():
        for key in thing.model_extra or ():
            yield _remark(f"things.{name}.{key}", ThingConfig.model_fields)
        slots = slots_of(thing.cls) if isinstance(thing.cls, type) else {}
        for key in sorted(thing.thing_slots.keys() - slots.keys()):
            known = f"The slots are: {', '.join(slots) or 'none'}."
            yield (
                f"things.{name}.thing_slots.{key}: {name}.{key}: there is no such slot, so it is "
                f"ignored. {_nearest(key, slots) or known}"
            )


def mistakes_in_keys(keys: Iterable[str]) -> list[str]:
    """Return an error for each top-level key that looks like one of safety, misspelt."""
    nearest = {key: difflib.get_close_matches(key.lower(), _SAFETY, 1, 0.75) for key in keys}
    return [
        f"{key}: there is no such option. Did you mean {_SAFETY[near[0]]!r}?"
        for key, near in nearest.items()
        if near
    ]


def _remark(place: str, known: Iterable[str]) -> str:
    key = place.rpartition(".")[2]
    return f"{place}: there is no such option, so it is ignored. {_nearest(key, known)}".rstrip()


def _nearest(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), 1, 0.7)
    return f"Did you mean {near[0]!r}?" if near else ""
