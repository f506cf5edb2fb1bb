"""Which media type a client prefers (RFC 9110, section 12.5.1); pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON: Final = "application/json"


def qualities(accept: str) -> dict[str, float]:
    """Return the quality of each media type that an `Accept` header names."""
    return dict(map(_quality, accept.lower().split(",")))


def _quality(entry: str) -> tuple[str, float]:
    media_type, *parameters = entry.split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media_type.strip(), float(value)
            except ValueError:
                break
    return media_type.strip(), 1.0


def preferred(accept: str | None, offered: Sequence[str]) -> str:
    """Return the media type of an answer: one of those offered that is named, else JSON.

    JSON is the default. A type that is only allowed, as by `*/*`, is not named.
    """
    if accept is None:
        return JSON
    named = qualities(accept)
    best, most = JSON, named.get(JSON, 0.0)
    for media_type in offered:
        quality = named.get(media_type, 0.0)
        if quality > most:
            best, most = media_type, quality
    return best


def acceptable(accept: str | None, offered: Sequence[str]) -> str | None:
    """Return which of these a client prefers, wildcards included; None if it accepts none.

    The first one is the default, and wins where the client has no preference.
    """
    if accept is None or not accept.strip():
        return offered[0]
    named = qualities(accept)
    best, most = None, 0.0
    for media_type in offered:
        kind = media_type.partition("/")[0]
        patterns = (media_type, f"{kind}/*", "*/*")
        quality = next((named[each] for each in patterns if each in named), 0.0)
        if quality > most:
            best, most = media_type, quality
    return best
