"""The directory of Things, and the events of the server, in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from .responses import LAST_EVENT_ID, NOT_MODIFIED, answers, content

Json = dict[str, Any]

_THING: Json = {"type": "object"}


def directory_paths(prefix: str) -> Json:
    base = f"{prefix}/directory"
    description = content("The directory's Thing Description", _THING, "application/td+json")
    list_of_things = content(
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
        "/.well-known/wot": _get("Describe the directory", "describe", description),
        f"{base}/things": _get("List all Thing Descriptions", "things", list_of_things, pages),
        f"{base}/things/{{id}}": _get("Get one Thing Description", "thing", one, [id], "404"),
        f"{base}/events": _stream("Follow additions of Things", "directory.events", "directory"),
        f"{prefix}/events": _stream("Follow everything", "server.events", "server"),
    }


def _get(
    summary: str, name: str, response: Json, parameters: list[Json] | None = None, *problems: str
) -> Json:
    return {
        "get": {
            "tags": ["directory"],
            "summary": summary,
            "operationId": f"directory.{name}",
            "parameters": parameters or [],
            "responses": answers({"200": response, "304": NOT_MODIFIED}, *problems),
        }
    }


def _stream(summary: str, name: str, tag: str) -> Json:
    events = content("Server-sent events", {"type": "string"}, "text/event-stream")
    return {
        "get": {
            "tags": [tag],
            "summary": summary,
            "operationId": name,
            "parameters": [LAST_EVENT_ID],
            "responses": answers({"200": events}),
        }
    }
