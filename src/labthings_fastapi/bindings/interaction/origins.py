"""The origin and the path of a request, from its ASGI scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_HTTP = {"ws": "http", "wss": "https"}


def origin_of(scope: Mapping[str, Any], host: str | None) -> str:
    """Return scheme, host and root path of an ASGI scope; `host` is the header, or None.

    The scheme is that of HTTP for a WebSocket too, because the URLs are for HTTP.
    """
    if host is None:
        server = scope.get("server") or ("localhost", None)
        host = server[0] if server[1] is None else f"{server[0]}:{server[1]}"
    scheme: str = scope.get("scheme", "http")
    root: str = scope.get("root_path", "")
    return f"{_HTTP.get(scheme, scheme)}://{host}{root.rstrip('/')}"


def path_of(scope: Mapping[str, Any]) -> str:
    """Return the path of an ASGI scope without its root path; servers differ in including it."""
    root: str = scope.get("root_path", "")
    path: str = scope["path"]
    return path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path
