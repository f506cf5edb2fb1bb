"""Write the Thing Description (W3C TD 1.1) of a Thing, with the forms of its bindings."""

from __future__ import annotations

import hashlib
import inspect
import json
import uuid
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import LabThingsError
from labthings_fastapi.thing_description.paths import name_of, path_of, title_of

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
_ACTION_ID = {"actionID": {"type": "string", "description": "The id of an invocation."}}


def describe(
    thing: DescribedThing,
    writers: Sequence[FormWriter] = (HttpForms(),),
    *,
    base: str = "",
    path: str | None = None,
    server_id: uuid.UUID | None = None,
    schemes: Sequence[str] = (),
) -> Json:
    """Describe a Thing for a client that reaches its server at the URL `base`.

    Without a base, hrefs are relative to the URL of the description. `path` is the path of the
    Thing, by default its own. `server_id` makes the id of the Thing unique. `schemes` are the
    security schemes of which clients must use one.
    """
    url = f"{base}{path if path is not None else path_of(thing)}"
    description: Json = {
        "@context": [TD_CONTEXT, _prefixes(thing)],
        "@type": "Thing",
        "id": thing_id(thing, server_id),
        "title": title_of(thing),
        "profile": PROFILES,
        **security_members(schemes),
    }
    if base:
        description["base"] = f"{base}/"
    text = type(thing).__doc__
    if text:
        description["description"] = inspect.cleandoc(text)
    parts: Json = {
        "properties": {
            name: _property(each, writers, url) for name, each in thing.property_descriptors.items()
        },
        "actions": {
            name: _action(each, writers, url) for name, each in thing.action_descriptors.items()
        },
        "events": {
            name: _event(each, writers, url) for name, each in thing.event_descriptors.items()
        },
        "forms": in_order(form for writer in writers for form in writer.thing_forms(thing, url)),
    }
    description |= {name: part for name, part in parts.items() if part}
    description["version"] = {"instance": _fingerprint(description, base)}
    return description


def thing_id(thing: DescribedThing, server_id: uuid.UUID | None = None) -> str:
    """Return the stable URN of a Thing, derived from its name and the id of its server."""
    if server_id is not None:
        return uuid.uuid5(server_id, name_of(thing)).urn
    return uuid.uuid5(uuid.NAMESPACE_URL, f"labthings:{name_of(thing)}").urn


def _prefixes(thing: DescribedThing) -> Json:
    """Return the prefixes that this description uses: the package's own and those of units."""
    units = {(each.unit or "").partition(":")[0] for each in thing.property_descriptors.values()}
    return OWN_CONTEXT | {name: uri for name, uri in UNIT_PREFIXES.items() if name in units}


def _fingerprint(description: Json, base: str) -> str:
    """Return a version that changes with the description, and not with the host in its URLs."""
    text = json.dumps(description, sort_keys=True)
    if base:
        text = text.replace(base, "").replace(websocket_url(base), "")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _texts(descriptor: Described) -> Json:
    texts = {"title": descriptor.title}
    if descriptor.description and descriptor.description != descriptor.title:
        texts["description"] = descriptor.description
    return texts


def _property(descriptor: DescribedProperty, writers: Sequence[FormWriter], url: str) -> Json:
    affordance = descriptor.schema.data_schema() | _texts(descriptor)
    affordance["readOnly"] = descriptor.readonly
    affordance["writeOnly"] = False
    affordance["observable"] = descriptor.is_observable
    if descriptor.unit:
        affordance["unit"] = descriptor.unit
    affordance |= _default(descriptor)
    affordance["forms"] = in_order(
        form for writer in writers for form in writer.property_forms(descriptor, url)
    )
    return affordance


def _default(descriptor: DescribedProperty) -> dict[str, Any]:
    if not descriptor.default_fits:
        return {}
    try:
        return {"default": json.loads(descriptor.to_json(descriptor.make_default()))}
    except (LabThingsError, ValueError):  # it breaks its own type, or has no JSON form
        return {}


def _event(descriptor: DescribedEvent, writers: Sequence[FormWriter], url: str) -> Json:
    affordance = _texts(descriptor)
    data = descriptor.schema.data_schema()
    if data != {"type": "null"}:
        affordance["data"] = data
    affordance["forms"] = in_order(
        form for writer in writers for form in writer.event_forms(descriptor, url)
    )
    return affordance


def _action(descriptor: DescribedAction, writers: Sequence[FormWriter], url: str) -> Json:
    affordance = _texts(descriptor)
    if descriptor.takes_input:
        affordance["input"] = descriptor.input_schema.data_schema()
    output = descriptor.output_schema.data_schema()
    if output and output != {"type": "null"}:
        affordance["output"] = output
    affordance["synchronous"] = descriptor.synchronous
    affordance["safe"] = descriptor.safe
    affordance["idempotent"] = descriptor.idempotent
    if descriptor.stop:
        affordance["labthings:stop"] = True
    if descriptor.concurrency != "parallel":
        affordance["labthings:concurrency"] = descriptor.concurrency
        affordance["labthings:group"] = descriptor.group or descriptor.name
    affordance["uriVariables"] = _ACTION_ID
    affordance["forms"] = in_order(
        form for writer in writers for form in writer.action_forms(descriptor, url)
    )
    return affordance
