"""From a Thing and the forms of its bindings to its Thing Description (W3C TD 1.1)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.descriptors.property import BaseProperty
    from labthings_fastapi.thing import Thing

    from .binding import Binding

TD_CONTEXT = "https://www.w3.org/2022/wot/td/v1.1"
OWN_CONTEXT = {"labthings": "urn:labthings:vocabulary:"}
_ACTION_ID = {"actionID": {"type": "string", "description": "The id of one run of this action."}}


def describe(thing: Thing, bindings: Sequence[Binding], *, base: str) -> dict[str, Any]:
    """Describe a Thing for a client that reaches the server at `base`."""
    description: dict[str, Any] = {
        "@context": [TD_CONTEXT, OWN_CONTEXT],
        "@type": "Thing",
        "id": thing_id(thing),
        "title": thing.title,
        "base": f"{base}/",
        "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}},
        "security": "nosec_sc",
    }
    text = type(thing).__doc__
    if text:
        description["description"] = " ".join(text.split("\n\n")[0].split())
    properties = {
        name: _property(thing, info.descriptor, bindings, base)
        for name, info in thing.properties.items()
    }
    actions = {
        name: _action(thing, action, bindings, base) for name, action in thing.actions.items()
    }
    forms = [form for binding in bindings for form in binding.thing_forms(thing, base)]
    parts = {"properties": properties, "actions": actions, "forms": forms}
    return description | {name: part for name, part in parts.items() if part}


def thing_id(thing: Thing) -> str:
    """Return the Thing's stable identifier."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'labthings:{thing.name}')}"


def _texts(descriptor: Any) -> dict[str, Any]:
    found = {"title": descriptor.title}
    if descriptor.description and descriptor.description != descriptor.title:
        found["description"] = descriptor.description
    return found


def _property(
    thing: Thing, descriptor: BaseProperty[Any], bindings: Sequence[Binding], base: str
) -> dict[str, Any]:
    mode: Any = "serialization" if descriptor.readonly else "validation"
    found = descriptor.schema.data_schema(mode) | _texts(descriptor)
    found["readOnly"] = descriptor.readonly
    found["writeOnly"] = False
    found["observable"] = False
    if descriptor.unit:
        found["unit"] = descriptor.unit
    if descriptor.has_default:
        found["default"] = from_json(descriptor.to_json(descriptor.make_default()))
    found["forms"] = [
        form for binding in bindings for form in binding.property_forms(thing, descriptor, base)
    ]
    return found


def _action(
    thing: Thing,
    descriptor: ActionDescriptor[Any, Any, Any],
    bindings: Sequence[Binding],
    base: str,
) -> dict[str, Any]:
    found: dict[str, Any] = _texts(descriptor)
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
    found["uriVariables"] = _ACTION_ID
    found["forms"] = [
        form for binding in bindings for form in binding.action_forms(thing, descriptor, base)
    ]
    return found
