"""Names and paths of Things in URLs; pure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from labthings_fastapi.exceptions import ThingNameError

THING_NAME = re.compile(r"[A-Za-z0-9_-]+")
RESERVED_AFFORDANCES = frozenset({"properties", "actions", "events", "ws", "gap"})
"""Path segments below a Thing that no Thing's path has: resources of the server are there."""
SHARED_AFFORDANCES = frozenset({"properties", "actions", "events", "ws"})
"""Those whose path a Thing may use itself; the resource of the server is then missing there."""
RESERVED_THINGS = frozenset(
    {
        ".well-known",
        ".labthings",
        "action_invocations",
        "cls",
        "openapi.json",
        "thing_descriptions",
        "things",
    }
)
"""First path segments that no Thing can have."""
SHARED_THINGS = frozenset(
    {
        "blob",
        "directory",
        "docs",
        "events",
        "health",
        "journal",
        "redoc",
        "session",
        "ui",
        "ws",
    }
)
"""First path segments of the server that a Thing may have too: older releases did not use them."""


def name_of(thing: Any) -> str:
    """Return the name of a Thing on its server; `thing.name` may be a property of its own."""
    name: str = thing._thing_server_interface.name
    return name


def path_of(thing: Any) -> str:
    """Return the path of a Thing on its server; `thing.path` may be a property of its own."""
    path: str = thing._thing_server_interface.path
    return path


def title_of(thing: Any) -> str:
    """Return the title of a Thing; `thing.title` may be a property of its own."""
    title: str = thing._own_title
    return title


def thing_path(name: str, prefix: str = "") -> str:
    """Return the path of a Thing, with a slash at both ends.

    `prefix` is a path such as `/api`, with or without slashes at its ends.
    """
    segments = prefix.strip("/")
    return f"/{segments}/{name}/" if segments else f"/{name}/"


def affordance_path(thing_path: str, name: str) -> str:
    """Return the path of an affordance; letters beyond ASCII are encoded (RFC 3986, 2.1)."""
    return thing_path + quote(name, safe="")


def normalise_thing_path(path: str) -> str:
    """Return a path in the form `/a/b/`; the slashes at its ends are optional.

    Raises:
        ThingNameError: the path is empty or reserved, or a segment does not fit in a URL.
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
            f"The path {path!r} cannot be used for a Thing: {segments[0]!r} belongs to the server. "
            "Choose another first segment."
        )
    for segment in segments[1:]:
        if segment in RESERVED_AFFORDANCES:
            raise ThingNameError(
                f"The path {path!r} cannot be used for a Thing: {segment!r} belongs to the server "
                "below every Thing. Choose another segment."
            )
    return f"/{'/'.join(segments)}/"
