"""The Thing Description of the directory of Things (W3C WoT Discovery, section 7); pure."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from .describe import TD_CONTEXT
from .forms import form
from .http_forms import PROBLEM_ANSWER, used_definitions
from .security import security_members

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .protocols import Json

DISCOVERY_CONTEXT = "https://www.w3.org/2022/wot/discovery"
TD_MEDIA_TYPE = "application/td+json"
LIST_MEDIA_TYPE = "application/ld+json"
EVENTS = {
    "thing_created": "A Thing was added while the server was running.",
    "thing_updated": "A Thing was replaced by another one of the same name.",
    "thing_deleted": "A Thing was removed while the server was running.",
}
"""The events of a directory, by the last part of their URL."""
FORMATS = ("array", "collection")


def describe_directory(
    base: str,
    server_id: uuid.UUID | None = None,
    schemes: Sequence[str] = (),
    things: Sequence[str] = (),
) -> Json:
    """Describe the directory of a server for clients that reach it at the URL `base`.

    It follows the Thing Model of the standard (section 7.3.2.4), without what a directory that is
    only for reading does not offer. `things` are the URLs of the descriptions of its Things.
    """
    namespace = server_id or uuid.NAMESPACE_URL
    parts: Json = {
        "properties": {"things": _things(f"{base}/directory/things")},
        "actions": {"retrieveThing": _retrieve(f"{base}/directory/things/{{id}}")},
        "events": {
            _camel_case(kind): _event(f"{base}/directory/events/{kind}", text)
            for kind, text in EVENTS.items()
        },
    }
    return {
        "@context": [TD_CONTEXT, DISCOVERY_CONTEXT],
        "@type": "ThingDirectory",
        "id": uuid.uuid5(namespace, "labthings:directory").urn,
        "title": "The Things of this server",
        "base": f"{base}/",
        **security_members(schemes),
        **parts,
        **used_definitions(parts),
        "links": [
            *({"rel": "item", "href": url, "type": TD_MEDIA_TYPE} for url in things),
            {"rel": "service-doc", "href": f"{base}/docs", "type": "text/html"},
        ],
    }


def _things(url: str) -> Json:
    return {
        "description": "All Thing Descriptions, by id; with `limit`, page by page.",
        "type": "array",
        "items": {"type": "object"},
        "readOnly": True,
        "observable": False,
        "uriVariables": {
            "offset": {
                "title": "Number of Things before the page",
                "type": "integer",
                "minimum": 0,
                "default": 0,
            },
            "limit": {"title": "Number of Things on the page", "type": "integer", "minimum": 1},
            "format": {
                "title": "A bare array, or a collection with links",
                "type": "string",
                "enum": list(FORMATS),
                "default": FORMATS[0],
            },
        },
        "forms": [
            form(
                f"{url}{{?offset,limit,format}}",
                "readproperty",
                content_type=LIST_MEDIA_TYPE,
                response_content_type=LIST_MEDIA_TYPE,
                method="GET",
                additional_responses=[{"htv:statusCodeValue": 400, **PROBLEM_ANSWER}],
            )
        ],
    }


def _retrieve(url: str) -> Json:
    return {
        "description": "One Thing Description.",
        "uriVariables": {
            "id": {
                "@type": "ThingID",
                "title": "The id of the Thing",
                "type": "string",
                "format": "iri-reference",
            }
        },
        "output": {"description": "The Thing Description.", "type": "object", "properties": {}},
        "safe": True,
        "idempotent": True,
        "synchronous": True,
        "forms": [
            form(
                url,
                "invokeaction",
                content_type=TD_MEDIA_TYPE,
                response_content_type=TD_MEDIA_TYPE,
                method="GET",
                additional_responses=[
                    {"htv:statusCodeValue": status, **PROBLEM_ANSWER} for status in (400, 404)
                ],
            )
        ],
    }


def _event(url: str, text: str) -> Json:
    return {
        "description": text,
        "data": {
            "description": "The part of the Thing Description that identifies the Thing.",
            "type": "object",
            "properties": {"id": {"type": "string"}},
            "required": ["id"],
        },
        "forms": [
            form(
                url,
                "subscribeevent",
                content_type=None,
                subprotocol="sse",
                method="GET",
                response_content_type="text/event-stream",
                additional_responses=[{"htv:statusCodeValue": 400, **PROBLEM_ANSWER}],
            )
        ],
    }


def _camel_case(text: str) -> str:
    first, *others = text.split("_")
    return first + "".join(map(str.capitalize, others))
