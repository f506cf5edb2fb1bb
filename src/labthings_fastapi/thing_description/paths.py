"""Names and paths of Things in URLs; pure."""

from __future__ import annotations

import re

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
        "thing_descriptions",
        "things",
        "ui",
        "ws",
    }
)
"""What the server itself serves beside the Things: first segments of paths."""


def thing_path(name: str, prefix: str = "") -> str:
    """Return where a Thing of this name is served, with a slash at both ends."""
    return f"{prefix}/{name}/"


def normalise_thing_path(path: str) -> str:
    """Return a path as `/a/b/`, whatever slashes it was given with at its ends.

    Raises:
        ThingNameError: it is empty, reserved, or has a segment that does not fit in a URL.
    """
    segments = path.strip("/").split("/")
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
    return f"/{'/'.join(segments)}/"
