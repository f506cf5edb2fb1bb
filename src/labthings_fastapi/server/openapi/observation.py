"""How OpenAPI is told that a URL can also be followed: by a stream, or by long polling."""

from __future__ import annotations

from typing import Any

_PARAMETERS = [
    {
        "name": "observe",
        "in": "query",
        "description": "Wait for the next value, at most a minute.",
        "schema": {"type": "string", "enum": ["longpoll"]},
    },
    {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "Begin after this event.",
        "schema": {"type": "string"},
    },
]


def following(operation: dict[str, Any]) -> dict[str, Any]:
    """Add to a GET that its answer may be a stream of server-sent events; return it."""
    operation["parameters"] = [*operation.get("parameters", ()), *_PARAMETERS]
    good = operation["responses"]["200"]["content"]
    good["text/event-stream"] = {"schema": {"type": "string"}}
    operation["responses"]["204"] = {"description": "Nothing came while the request waited"}
    return operation
