"""The directory of Things in the OpenAPI document."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def directory_paths(prefix: str) -> Json:
    """Describe the URLs of the directory."""
    thing = {"type": "object"}
    listed = {"type": "array", "items": thing}
    found = {
        "/.well-known/wot": _get(
            "Describe the directory", "describe", "application/td+json", thing
        ),
        f"{prefix}/directory/things": _get(
            "List all Thing Descriptions", "things", "application/ld+json", listed
        ),
        f"{prefix}/directory/things/{{id}}": _get(
            "Give one Thing Description", "thing", "application/td+json", thing
        ),
        f"{prefix}/directory/events": _get(
            "Hear of Things that are added", "events", "text/event-stream", {"type": "string"}
        ),
    }
    found[f"{prefix}/directory/things"]["get"]["parameters"] = [
        {"name": name, "in": "query", "schema": {"type": "integer", "minimum": least}}
        for name, least in (("offset", 0), ("limit", 1))
    ]
    found[f"{prefix}/directory/things/{{id}}"]["get"]["parameters"] = [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    ]
    return found


def _get(summary: str, name: str, media_type: str, schema: Json) -> Json:
    answer = {"description": summary, "content": {media_type: {"schema": schema}}}
    return {
        "get": {
            "tags": ["directory"],
            "summary": summary,
            "operationId": f"directory.{name}",
            "responses": {"200": answer},
        }
    }
