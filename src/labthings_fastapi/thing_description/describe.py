"""From a Thing and the forms of its bindings to its Thing Description (W3C TD 1.1)."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import UnserialisableValueError

from .forms import in_order
from .http_forms import HttpForms
from .security import security_members
from .websocket_forms import websocket_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .protocols import (
        Described,
        DescribedAction,
        DescribedEvent,
        DescribedProperty,
        DescribedThing,
        FormWriter,
        Json,
    )

TD_CONTEXT = "https://www.w3.org/2022/wot/td/v1.1"
OWN_CONTEXT = {"labthings": "urn:labthings:vocabulary:", "@language": "en"}
UNIT_PREFIXES = {
    "om": "http://www.ontology-of-units-of-measure.org/resource/om-2/",
    "qudt-unit": "http://qudt.org/vocab/unit/",
}
PROFILES = [
    "https://www.w3.org/2022/wot/profile/http-basic/v1",
    "https://www.w3.org/2022/wot/profile/http-sse/v1",
]
_ACTION_ID = {"actionID": {"type": "string", "description": "The id of one run of this action."}}


def describe(
    thing: DescribedThing,
    writers: Sequence[FormWriter] = (HttpForms(),),
    *,
    base: str = "",
    path: str | None = None,
    server_id: uuid.UUID | None = None,
    schemes: Sequence[str] = (),
) -> Json:
    """Describe a Thing for a client that reaches its server at `base`.

    Without a base, hrefs are relative to where the description was found. `path` is where the
    Thing is served, by default its own. `server_id` makes the Thing's own id one of its kind.
    `schemes` are those of which clients must use one to say who they are.
    """
    url = f"{base}{path if path is not None else thing.path}"
    description: Json = {
        "@context": [TD_CONTEXT, _prefixes(thing)],
        "@type": "Thing",
        "id": thing_id(thing, server_id),
        "title": thing.title,
        "profile": PROFILES,
        **security_members(schemes),
    }
    if base:
        description["base"] = f"{base}/"
    text = type(thing).__doc__
    if text:
        description["description"] = " ".join(text.split("\n\n")[0].split())
    parts: Json = {
        "properties": {
            name: _property(found, writers, url)
            for name, found in thing.property_descriptors.items()
        },
        "actions": {
            name: _action(found, writers, url) for name, found in thing.action_descriptors.items()
        },
        "events": {
            name: _event(found, writers, url) for name, found in thing.event_descriptors.items()
        },
        "forms": in_order(form for writer in writers for form in writer.thing_forms(thing, url)),
    }
    description |= {name: part for name, part in parts.items() if part}
    description["version"] = {"instance": _fingerprint(description, base)}
    return description


def thing_id(thing: DescribedThing, server_id: uuid.UUID | None = None) -> str:
    """Return the Thing's stable identifier, which comes from its name and the server's own id."""
    if server_id is not None:
        return uuid.uuid5(server_id, thing.name).urn
    return uuid.uuid5(uuid.NAMESPACE_URL, f"labthings:{thing.name}").urn


def _prefixes(thing: DescribedThing) -> Json:
    """Explain the prefixes that this description uses: ours, and those of its units."""
    units = {(found.unit or "").partition(":")[0] for found in thing.property_descriptors.values()}
    return OWN_CONTEXT | {name: uri for name, uri in UNIT_PREFIXES.items() if name in units}


def _fingerprint(description: Json, base: str) -> str:
    """Name the version: another one means another description, whatever host it was read from."""
    text = json.dumps(description, sort_keys=True)
    if base:
        text = text.replace(base, "").replace(websocket_url(base), "")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _texts(descriptor: Described) -> Json:
    found = {"title": descriptor.title}
    if descriptor.description and descriptor.description != descriptor.title:
        found["description"] = descriptor.description
    return found


def _property(descriptor: DescribedProperty, writers: Sequence[FormWriter], url: str) -> Json:
    mode = "serialization" if descriptor.readonly else "validation"
    found = descriptor.schema.data_schema(mode) | _texts(descriptor)
    found["readOnly"] = descriptor.readonly
    found["writeOnly"] = False
    found["observable"] = descriptor.is_observable
    if descriptor.unit:
        found["unit"] = descriptor.unit
    found |= _default(descriptor)
    found["forms"] = in_order(
        form for writer in writers for form in writer.property_forms(descriptor, url)
    )
    return found


def _default(descriptor: DescribedProperty) -> dict[str, Any]:
    """Tell the default, if there is one that has a JSON form."""
    if not descriptor.has_default:
        return {}
    try:
        return {"default": json.loads(descriptor.to_json(descriptor.make_default()))}
    except UnserialisableValueError:
        return {}


def _event(descriptor: DescribedEvent, writers: Sequence[FormWriter], url: str) -> Json:
    found = _texts(descriptor)
    data = descriptor.schema.data_schema("serialization")
    if data != {"type": "null"}:
        found["data"] = data
    found["forms"] = in_order(
        form for writer in writers for form in writer.event_forms(descriptor, url)
    )
    return found


def _action(descriptor: DescribedAction, writers: Sequence[FormWriter], url: str) -> Json:
    found = _texts(descriptor)
    if descriptor.takes_input:
        found["input"] = descriptor.input_schema.data_schema("validation")
    output = descriptor.output_schema.data_schema("serialization")
    if output and output != {"type": "null"}:
        found["output"] = output
    found["synchronous"] = descriptor.synchronous
    found["safe"] = descriptor.safe
    found["idempotent"] = descriptor.idempotent
    if descriptor.stop:
        found["labthings:stop"] = True
    if descriptor.concurrency != "parallel":
        found["labthings:concurrency"] = descriptor.concurrency
        found["labthings:group"] = descriptor.group or descriptor.name
    found["uriVariables"] = _ACTION_ID
    found["forms"] = in_order(
        form for writer in writers for form in writer.action_forms(descriptor, url)
    )
    return found
