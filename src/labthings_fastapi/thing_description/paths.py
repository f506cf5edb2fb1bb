"""Names and paths of Things in URLs; pure."""

from __future__ import annotations

import re
from urllib.parse import quote

from labthings_fastapi.exceptions import ThingNameError

THING_NAME = re.compile(r"[A-Za-z0-9_-]+")
RESERVED_AFFORDANCES = frozenset({"properties", "actions", "events", "ws"})
"""What the server itself serves below every Thing."""
RESERVED_THINGS = frozenset(
    {
        ".well-known",
        "action_invocations",
        "blob",
        "directory",
        "docs",
        "events",
        "health",
        "journal",
        "openapi.json",
        "session",
        "thing_descriptions",
        "things",
        "ui",
        "ws",
    }
)
"""What the server itself serves beside the Things: first segments of paths."""


def thing_path(name: str, prefix: str = "") -> str:
    """Return where a Thing of this name is served, with a slash at both ends.

    `prefix` is a path such as `/api`, with or without slashes at its ends.
    """
    before = prefix.strip("/")
    return f"/{before}/{name}/" if before else f"/{name}/"


def affordance_path(thing_path: str, name: str) -> str:
    """Return where an affordance of a Thing is served.

    Python allows letters in names that a URL holds only in encoded form (RFC 3986, section 2.1).
    """
    return thing_path + quote(name, safe="")


def normalise_thing_path(path: str) -> str:
    """Return a path as `/a/b/`, whether or not it was given with a slash at either end.

    Raises:
        ThingNameError: it is empty, reserved, or has a segment that does not fit in a URL.
    """
    segments = path.removeprefix("/").removesuffix("/").split("/")
    for segment in segments:
        if not THING_NAME.fullmatch(segment):
            raise ThingNameError(
                f"The path {path!r} cannot be used for a Thing: {segment!r} does not fit in a URL. "
                "Use segments of letters, digits, '_' and '-', as '/stage/' or '/left/stage/'."
            )
    if segments[0] in RESERVED_THINGS:
        raise ThingNameError(
            f"The path {path!r} cannot be used for a Thing: {segments[0]!r} is used by the server "
            "itself. Choose another first segment."
        )
    for segment in segments[1:]:
        if segment in RESERVED_AFFORDANCES:
            raise ThingNameError(
                f"The path {path!r} cannot be used for a Thing: {segment!r} is what the server "
                "serves below every Thing. Choose another segment."
            )
    return f"/{'/'.join(segments)}/"
