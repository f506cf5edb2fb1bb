"""Things in the OpenAPI document, described from their descriptors."""

from __future__ import annotations

from typing import Any

from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.descriptors.event import EventDescriptor
from labthings_fastapi.descriptors.property import BaseProperty
from labthings_fastapi.thing import Thing

from .responses import (
    NOT_MODIFIED,
    PROBLEM_REF,
    WRITING,
    Components,
    answers,
    content,
    with_following,
)

Json = dict[str, Any]
_INVOCATION_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and input within 24 hours return the same invocation.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=N`: wait N seconds (60 at most) for the invocation to end.",
    "schema": {"type": "string"},
}
_STATUS = {"$ref": "#/components/schemas/ActionStatus"}
_LOCATION = {"Location": {"description": "The URL of the invocation", "schema": {"type": "string"}}}
ACTION_STATUS: Json = {
    "type": "object",
    "description": "One invocation of an action (WoT Profiles).",
    "properties": {
        "status": {"enum": ["pending", "running", "completed", "failed"]},
        "href": {"type": "string"},
        "id": {"type": "string", "format": "uuid"},
        "timeRequested": {"type": "string", "format": "date-time"},
        "timeStarted": {"type": "string", "format": "date-time"},
        "timeEnded": {"type": "string", "format": "date-time"},
        "progress": {"type": "number", "minimum": 0, "maximum": 100},
        "output": {},
        "error": PROBLEM_REF,
    },
    "required": ["status", "href"],
}


def thing_paths(thing: Thing, components: Components) -> Json:
    paths: Json = {thing.path: {"get": _description(thing)}}
    for name, info in thing.properties.items():
        paths[f"{thing.path}{name}"] = _property(thing, info.descriptor, components)
        if info.descriptor.is_resettable:
            paths[f"{thing.path}{name}/reset"] = {"post": _reset(thing, info.descriptor)}
    for name, event in thing.event_descriptors.items():
        paths[f"{thing.path}{name}"] = _event(thing, event, components)
    for name, action in thing.actions.items():
        paths[f"{thing.path}{name}"] = _action(thing, action, components)
        paths[f"{thing.path}{name}/{{id}}"] = _invocation(thing, action)
    paths |= _all_of(thing, components)
    for item in paths.values():
        for operation in item.values():
            operation["tags"] = [thing.name]
    return paths


def _texts(descriptor: Any) -> Json:
    texts = {"summary": descriptor.title}
    if descriptor.description and descriptor.description != descriptor.title:
        texts["description"] = descriptor.description
    return texts


def _body(schema: Json, *, required: bool = True) -> Json:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _description(thing: Thing) -> Json:
    described = content("The Thing Description", {"type": "object"}, "application/td+json")
    return {
        "summary": f"Describe {thing.title}",
        "operationId": f"{thing.name}.describe",
        "responses": answers({"200": described, "304": NOT_MODIFIED}),
    }


def _property(thing: Thing, descriptor: BaseProperty[Any], components: Components) -> Json:
    read = content("The value", components.schema(descriptor.schema, "serialization"))
    get: Json = {
        **_texts(descriptor),
        "operationId": f"{thing.name}.{descriptor.name}.read",
        "responses": answers({"200": read}, *(() if descriptor.is_observable else ("406",))),
    }
    if descriptor.is_observable:
        with_following(get)
    if descriptor.readonly:
        return {"get": get}
    put = {
        **_texts(descriptor),
        "operationId": f"{thing.name}.{descriptor.name}.write",
        "requestBody": _body(components.schema(descriptor.schema, "validation")),
        "responses": answers({"204": {"description": "The value is set"}}, *WRITING),
    }
    return {"get": get, "put": put}


def _reset(thing: Thing, descriptor: BaseProperty[Any]) -> Json:
    return {
        "summary": f"Reset {descriptor.name} to its default",
        "operationId": f"{thing.name}.{descriptor.name}.reset",
        "responses": answers({"204": {"description": "The value is the default"}}, *WRITING),
    }


def _event(thing: Thing, event: EventDescriptor, components: Components) -> Json:
    data = components.schema(event.schema, "serialization")
    operation: Json = {
        **_texts(event),
        "operationId": f"{thing.name}.{event.name}.subscribe",
        "responses": answers({"200": content("The event's data, by long polling", data)}),
    }
    return {"get": with_following(operation)}


def _action(thing: Thing, action: ActionDescriptor[Any, Any, Any], components: Components) -> Json:
    if action.synchronous:
        output = components.schema(action.output_schema, "serialization")
        good: Json = {
            "200": content("The output", output),
            "204": {"description": "Done, without an output"},
        }
    else:
        good = {
            "201": {**content("The invocation has been started", _STATUS), "headers": _LOCATION}
        }
    post: Json = {
        **_texts(action),
        "operationId": f"{thing.name}.{action.name}.invoke",
        # An emergency stop does not wait for the journal, which keeps the keys.
        "parameters": ([] if action.stop else [_KEY]) + ([] if action.synchronous else [_PREFER]),
        "responses": answers(good, *WRITING),
    }
    if action.takes_input:
        schema = components.schema(action.input_schema, "validation")
        post["requestBody"] = _body(schema, required=action.requires_input)
    runs = {"type": "array", "items": {"type": "object"}}
    listing = {
        "summary": f"List the invocations of {action.name}",
        "operationId": f"{thing.name}.{action.name}.runs",
        "responses": answers({"200": content("Summaries, newest last", runs)}),
    }
    return {"post": post, "get": listing}


def _invocation(thing: Thing, action: ActionDescriptor[Any, Any, Any]) -> Json:
    cancelled = {"204": {"description": "Cancellation is requested"}}
    return {
        "get": {
            "summary": f"Get one invocation of {action.name}",
            "operationId": f"{thing.name}.{action.name}.query",
            "parameters": [_INVOCATION_ID, _PREFER],
            "responses": answers({"200": content("The invocation", _STATUS)}, "404"),
        },
        "delete": {
            "summary": f"Cancel one invocation of {action.name}",
            "operationId": f"{thing.name}.{action.name}.cancel",
            "parameters": [_INVOCATION_ID],
            "responses": answers(cancelled, "404", "409"),
        },
    }


def _all_of(thing: Thing, components: Components) -> Json:
    descriptors = thing.property_descriptors.items()
    read = {name: components.schema(each.schema, "serialization") for name, each in descriptors}
    written = {
        name: components.schema(each.schema, "validation")
        for name, each in descriptors
        if not each.readonly
    }
    values = content("Name → value", {"type": "object", "properties": read})
    some = {"type": "object", "properties": written, "additionalProperties": False}
    runs = content("Action → its invocations, newest first", {"type": "object"})
    event = content("Event → its data, by long polling", {"type": "object"})
    get = {
        "summary": "Read all properties",
        "operationId": f"{thing.name}.properties.read",
        "responses": answers({"200": values}),
    }
    put = {
        "summary": "Write several properties: all of them or none",
        "operationId": f"{thing.name}.properties.write",
        "requestBody": _body(some),
        "responses": answers({"204": {"description": "All are set"}}, "404", "405", *WRITING),
    }
    query = {
        "summary": "List the invocations of all actions",
        "operationId": f"{thing.name}.actions.query",
        "responses": answers({"200": runs}),
    }
    subscribe = {
        "summary": "Subscribe to all events",
        "operationId": f"{thing.name}.events.subscribe",
        "responses": answers({"200": event}),
    }
    return {
        f"{thing.path}properties": {"get": with_following(get), "put": put},
        f"{thing.path}actions": {"get": query},
        f"{thing.path}events": {"get": with_following(subscribe)},
    }
