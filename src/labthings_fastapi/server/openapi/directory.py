"""The directory of Things, and the events of the whole server, in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from .responses import NOT_MODIFIED, answers, content

Json = dict[str, Any]

_THING: Json = {"type": "object"}
_LAST_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Begin after this event.",
    "schema": {"type": "string"},
}


def directory_paths(prefix: str) -> Json:
    """Describe the URLs of the directory."""
    base = f"{prefix}/directory"
    described = content("The directory's Thing Description", _THING, "application/td+json")
    listed = content(
        "Thing Descriptions", {"type": "array", "items": _THING}, "application/ld+json"
    )
    one = content("The Thing Description", _THING, "application/td+json")
    pages = [
        {
            "name": name,
            "in": "query",
            "schema": {"type": "integer", "minimum": least, "maximum": 999_999_999},
        }
        for name, least in (("offset", 0), ("limit", 1))
    ]
    id = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/.well-known/wot": _get("Describe the directory", "describe", described),
        f"{base}/things": _get("List all Thing Descriptions", "things", listed, pages),
        f"{base}/things/{{id}}": _get("Give one Thing Description", "thing", one, [id], "404"),
        f"{base}/events": _stream("Hear of Things that are added", "directory.events", "directory"),
    }


def events_path(prefix: str) -> Json:
    """Describe the URL of all that happens on the server."""
    return {f"{prefix}/events": _stream("Hear of all that happens", "server.events", "server")}


def _get(
    summary: str, name: str, answer: Json, parameters: list[Json] | None = None, *problems: str
) -> Json:
    return {
        "get": {
            "tags": ["directory"],
            "summary": summary,
            "operationId": f"directory.{name}",
            "parameters": parameters or [],
            "responses": answers({"200": answer, "304": NOT_MODIFIED}, *problems),
        }
    }


def _stream(summary: str, name: str, tag: str) -> Json:
    events = content("Server-sent events", {"type": "string"}, "text/event-stream")
    return {
        "get": {
            "tags": [tag],
            "summary": summary,
            "operationId": name,
            "parameters": [_LAST_ID],
            "responses": answers({"200": events}),
        }
    }
