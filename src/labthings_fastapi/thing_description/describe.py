"""Write the Thing Description (W3C TD 1.1) of a Thing, with the forms of its bindings."""

from __future__ import annotations

import hashlib
import inspect
import json
import uuid
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import LabThingsError
from labthings_fastapi.thing_description.paths import (
    affordance_path,
    name_of,
    path_of,
    title_of,
)

from .class_facts import TYPE_PREFIXES, class_version
from .forms import in_order
from .http_forms import HttpForms, used_definitions
from .security import security_members
from .units import UNIT_PREFIXES
from .value_schemas import units_in, value_schema
from .websocket_forms import websocket_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
PROFILES = [
    "https://www.w3.org/2022/wot/profile/http-basic/v1",
    "https://www.w3.org/2022/wot/profile/http-sse/v1",
]
_LONGEST_DEFAULT = 4096  # bytes of JSON: of an image, clients read the property
_ACTION_ID = {"actionID": {"type": "string", "description": "The id of an invocation."}}


def describe(
    thing: DescribedThing,
    writers: Sequence[FormWriter] = (HttpForms(),),
    *,
    base: str = "",
    path: str | None = None,
    server_id: uuid.UUID | None = None,
    schemes: Sequence[str] = (),
    support: str | None = None,
    language: str = "en",
    links: Sequence[Mapping[str, str]] = (),
) -> Json:
    """Describe a Thing for a client that reaches its server at the URL `base`.

    Without a base, hrefs are relative to the URL of the description. `path` is the path of the
    Thing, by default its own. `server_id` makes the id of the Thing unique. `schemes` are the
    security schemes of which clients must use one. `support` is the URI of who looks after the
    Thing, and `language` that of its texts.
    """
    url = f"{base}{path if path is not None else path_of(thing)}"
    text = type(thing).__doc__
    described = {
        **_affordances(thing, writers, url),
        "forms": in_order(form for writer in writers for form in writer.thing_forms(thing, url)),
    }
    members: Json = {
        "@context": [TD_CONTEXT, _context(thing, described, language)],
        "@type": ["Thing", *thing._semantic_types] if thing._semantic_types else "Thing",
        "id": thing_id(thing, server_id),
        "title": title_of(thing),
        "description": inspect.cleandoc(text) if text else None,
        "support": support,
        "profile": PROFILES,
        **security_members(schemes),
        "base": f"{base}/" if base else None,
        **described,
        "forms": described["forms"] or None,
        **used_definitions(described),
        "links": [*map(dict, links), *_stream_links(thing, url)] or None,
    }
    description = {name: member for name, member in members.items() if member is not None}
    description["version"] = _version(thing, description, base)
    return description


def _affordances(thing: DescribedThing, writers: Sequence[FormWriter], url: str) -> Json:
    found: Json = {
        "properties": {
            name: _property(each, writers, url) for name, each in thing.property_descriptors.items()
        },
        "actions": {
            name: _action(each, writers, url) for name, each in thing.action_descriptors.items()
        },
        "events": {
            name: _event(each, writers, url) for name, each in thing.event_descriptors.items()
        },
    }
    # Older clients look for the first two without asking whether they are there.
    return found if found["events"] else {name: found[name] for name in ("properties", "actions")}


def _stream_links(thing: DescribedThing, url: str) -> list[dict[str, str]]:
    """Return where the live streams are: WoT has no operation for them."""
    return [
        {
            "rel": "labthings:stream",
            "href": affordance_path(url, name),
            "type": "application/x-npy" if "npy" in media_type else "multipart/x-mixed-replace",
        }
        for name, media_type in thing.frame_streams.items()
    ]


def thing_id(thing: DescribedThing, server_id: uuid.UUID | None = None) -> str:
    """Return the stable URN of a Thing, derived from its name and the id of its server."""
    if server_id is not None:
        return uuid.uuid5(server_id, name_of(thing)).urn
    return uuid.uuid5(uuid.NAMESPACE_URL, f"labthings:{name_of(thing)}").urn


def _context(thing: DescribedThing, described: Json, language: str) -> Json:
    """Return the prefixes that this description uses, and its language."""
    units = {unit.partition(":")[0] for unit in units_in(described)}
    types = {each.partition(":")[0] for each in thing._semantic_types}
    return {
        "labthings": "urn:labthings:vocabulary:",
        "@language": language,
        **{name: uri for name, uri in UNIT_PREFIXES.items() if name in units},
        **{name: uri for name, uri in TYPE_PREFIXES.items() if name in types},
    }


def _version(thing: DescribedThing, description: Json, base: str) -> Json:
    """Return the version of the class, and one that changes with the description.

    The second does not change with the host in its URLs.
    """
    text = json.dumps(description, sort_keys=True)
    if base:
        text = text.replace(base, "").replace(websocket_url(base), "")
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    model = class_version(type(thing).__module__)
    if model is None:
        return {"instance": f"0.0.0+{fingerprint}"}
    separator = "." if "+" in model else "+"
    return {"instance": f"{model}{separator}{fingerprint}", "model": model}


def _texts(descriptor: Described) -> Json:
    texts = {"title": descriptor.title}
    if descriptor.description:
        texts["description"] = descriptor.description
    return texts


def _property(descriptor: DescribedProperty, writers: Sequence[FormWriter], url: str) -> Json:
    affordance = value_schema(descriptor.schema.data_schema(), descriptor.unit)
    affordance |= _texts(descriptor)
    affordance["readOnly"] = descriptor.readonly
    affordance["writeOnly"] = False
    affordance["observable"] = descriptor.is_observable
    affordance |= _default(descriptor)
    affordance["forms"] = in_order(
        form for writer in writers for form in writer.property_forms(descriptor, url)
    )
    return affordance


def _default(descriptor: DescribedProperty) -> dict[str, Any]:
    if not descriptor.default_fits:
        return {}
    try:
        text = descriptor.to_json(descriptor.make_default())
        return {"default": json.loads(text)} if len(text) <= _LONGEST_DEFAULT else {}
    except (LabThingsError, ValueError):  # it breaks its own type, or has no JSON form
        return {}


def _event(descriptor: DescribedEvent, writers: Sequence[FormWriter], url: str) -> Json:
    affordance = _texts(descriptor)
    if descriptor.has_data:
        affordance["data"] = value_schema(descriptor.schema.data_schema(), descriptor.unit)
    affordance["forms"] = in_order(
        form for writer in writers for form in writer.event_forms(descriptor, url)
    )
    return affordance


def _action(descriptor: DescribedAction, writers: Sequence[FormWriter], url: str) -> Json:
    affordance = _texts(descriptor)
    if descriptor.takes_input:
        affordance["input"] = value_schema(descriptor.input_schema.data_schema())
    output = descriptor.output_schema.data_schema()
    if output and output != {"type": "null"}:
        affordance["output"] = value_schema(output)
        if descriptor.output_description:
            affordance["output"]["description"] = descriptor.output_description
    affordance["synchronous"] = descriptor.synchronous
    affordance["safe"] = descriptor.safe
    affordance["idempotent"] = descriptor.idempotent
    if descriptor.stop:
        affordance["labthings:stop"] = True
    if descriptor.concurrency != "parallel":
        affordance["labthings:concurrency"] = descriptor.concurrency
        affordance["labthings:group"] = descriptor.group or descriptor.name
    if not descriptor.synchronous:
        affordance["uriVariables"] = _ACTION_ID
    affordance["forms"] = in_order(
        form for writer in writers for form in writer.action_forms(descriptor, url)
    )
    return affordance
