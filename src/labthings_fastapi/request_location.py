"""Where a client reached the server, read from an ASGI scope; pure.

An app may be mounted in another app, or stand behind a proxy that removes the beginning of paths.
In both cases `root_path` contains that beginning. Every URL that the server writes begins with
`base_url`, and every route is found by `request_path`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_HTTP_SCHEMES = {"ws": "http", "wss": "https"}


def root_path(scope: Mapping[str, Any]) -> str:
    """Return the path at which the app is mounted, without a slash at its end."""
    root: str = scope.get("root_path", "")
    return root.rstrip("/")


def request_path(scope: Mapping[str, Any]) -> str:
    """Return the path without the root path; servers differ in whether `path` begins with it."""
    root: str = scope.get("root_path", "")
    path: str = scope["path"]
    return path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path


def base_url(scope: Mapping[str, Any]) -> str:
    """Return scheme, host and root path, as in `http://localhost:5000/lab`.

    The scheme is that of HTTP for a WebSocket too, because the URLs are read over HTTP.
    """
    for name, value in scope["headers"]:
        if name == b"host":
            host: str = value.decode("latin-1")
            break
    else:
        address, port = scope.get("server") or ("localhost", None)
        host = address if port is None else f"{address}:{port}"
    scheme: str = scope.get("scheme", "http")
    return f"{_HTTP_SCHEMES.get(scheme, scheme)}://{host}{scope.get('root_path', '').rstrip('/')}"
