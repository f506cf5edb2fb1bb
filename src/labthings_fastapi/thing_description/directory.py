"""The Thing Description of the directory of Things (W3C WoT Discovery, section 7); pure."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from .describe import TD_CONTEXT
from .forms import form
from .security import security_members

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .protocols import Json

DISCOVERY_CONTEXT = "https://www.w3.org/2022/wot/discovery"
_COUNT = {"type": "integer", "minimum": 0}


def describe_directory(
    base: str, server_id: uuid.UUID | None = None, schemes: Sequence[str] = ()
) -> Json:
    """Describe the directory of a server for clients that reach it at the URL `base`."""
    namespace = server_id or uuid.NAMESPACE_URL
    things = f"{base}/directory/things"
    return {
        "@context": [TD_CONTEXT, DISCOVERY_CONTEXT],
        "@type": "ThingDirectory",
        "id": uuid.uuid5(namespace, "labthings:directory").urn,
        "title": "The Things of this server",
        "base": f"{base}/",
        **security_members(schemes),
        "properties": {
            "things": {
                "description": "All Thing Descriptions; with `limit`, page by page.",
                "type": "array",
                "readOnly": True,
                "observable": False,
                "uriVariables": {"offset": _COUNT, "limit": {"type": "integer", "minimum": 1}},
                "forms": [
                    form(
                        f"{things}{{?offset,limit}}",
                        "readproperty",
                        content_type="application/ld+json",
                        method="GET",
                    )
                ],
            }
        },
        "actions": {
            "retrieveThing": {
                "description": "One Thing Description.",
                "uriVariables": {"id": {"type": "string", "format": "iri-reference"}},
                "output": {"type": "object"},
                "safe": True,
                "idempotent": True,
                "synchronous": True,
                "forms": [
                    form(
                        f"{things}/{{id}}",
                        "invokeaction",
                        content_type="application/td+json",
                        method="GET",
                    )
                ],
            }
        },
        "events": {
            "thingCreated": {
                "description": "A Thing was added while the server was running.",
                "data": {"type": "object", "properties": {"id": {"type": "string"}}},
                "forms": [
                    form(
                        f"{base}/directory/events/thing_created",
                        "subscribeevent",
                        content_type="text/event-stream",
                        subprotocol="sse",
                        method="GET",
                    )
                ],
            }
        },
    }
