"""Things and their directory in the OpenAPI document, described from their descriptors."""

from __future__ import annotations

from typing import Any

from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.descriptors.event import EventDescriptor
from labthings_fastapi.descriptors.property import BaseProperty
from labthings_fastapi.thing import Thing

from .responses import (
    LAST_EVENT_ID,
    NOT_MODIFIED,
    PROBLEM_REF,
    WRITING,
    Components,
    answers,
    content,
    parameter,
    with_following,
)

Json = dict[str, Any]
_OBJECT: Json = {"type": "object"}
_INVOCATION_ID = parameter("id", "path", {"type": "string", "format": "uuid"}, required=True)
_KEY = parameter(
    "Idempotency-Key",
    "header",
    {"type": "string", "minLength": 1, "maxLength": 255},
    description="The same key and input within 24 hours return the same invocation.",
)
_PREFER = parameter(
    "Prefer",
    "header",
    {"type": "string"},
    description="`wait=N`: wait N seconds (60 at most) for the invocation to end.",
)
_STATUS = {"$ref": "#/components/schemas/ActionStatus"}
_LOCATION = {"Location": {"description": "The URL of the invocation", "schema": {"type": "string"}}}
_TIME = {"type": "string", "format": "date-time"}
ACTION_STATUS: Json = {
    "type": "object",
    "description": "One invocation of an action (WoT Profiles).",
    "properties": {
        "status": {"enum": ["pending", "running", "completed", "failed"]},
        "href": {"type": "string"},
        "id": {"type": "string", "format": "uuid"},
        **dict.fromkeys(("timeRequested", "timeStarted", "timeEnded"), _TIME),
        "progress": {"type": "number", "minimum": 0, "maximum": 100},
        "output": {},
        "error": PROBLEM_REF,
    },
    "required": ["status", "href"],
}


def thing_paths(thing: Thing, components: Components) -> Json:
    td = content("The Thing Description", _OBJECT, "application/td+json")
    describe = _operation("describe", f"Describe {thing.title}", {"200": td, "304": NOT_MODIFIED})
    paths: Json = {"": {"get": describe}}
    for name, info in thing.properties.items():
        paths |= _property(name, info.descriptor, components)
    for name, event in thing.event_descriptors.items():
        paths[name] = {"get": _event(event, components)}
    for name, action in thing.actions.items():
        paths |= _action(name, action, components)
    paths |= _all_of(thing, components)
    for item in paths.values():
        for operation in item.values():
            operation["tags"] = [thing.name]
            operation["operationId"] = f"{thing.name}.{operation['operationId']}"
    return {f"{thing.path}{path}": item for path, item in paths.items()}


def _operation(id: str, about: Any, good: Json, *problems: str, **more: Any) -> Json:
    """Describe an operation; `about` is its summary, or the descriptor with title and text."""
    texts: Json = {"summary": about if isinstance(about, str) else about.title}
    if not isinstance(about, str) and about.description and about.description != about.title:
        texts["description"] = about.description
    return {**texts, "operationId": id, "responses": answers(good, *problems), **more}


def _body(schema: Json, *, required: bool = True) -> Json:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _property(name: str, descriptor: BaseProperty[Any], components: Components) -> Json:
    read = {"200": content("The value", components.schema(descriptor.schema, "serialization"))}
    if descriptor.is_observable:
        item = {"get": with_following(_operation(f"{name}.read", descriptor, read))}
    else:
        item = {"get": _operation(f"{name}.read", descriptor, read, "406")}
    if not descriptor.readonly:
        done = {"204": {"description": "The value is set"}}
        body = _body(components.schema(descriptor.schema, "validation"))
        item["put"] = _operation(f"{name}.write", descriptor, done, *WRITING, requestBody=body)
    if not descriptor.is_resettable:
        return {name: item}
    done = {"204": {"description": "The value is the default"}}
    reset = _operation(f"{name}.reset", f"Reset {name} to its default", done, *WRITING)
    return {name: item, f"{name}/reset": {"post": reset}}


def _event(event: EventDescriptor, components: Components) -> Json:
    data = components.schema(event.schema, "serialization")
    good = {"200": content("The event's data, by long polling", data)}
    return with_following(_operation(f"{event.name}.subscribe", event, good))


def _action(name: str, action: ActionDescriptor[Any, Any, Any], components: Components) -> Json:
    good: Json = {"201": {**content("The invocation has been started", _STATUS)}}
    good["201"]["headers"] = _LOCATION
    if action.synchronous:
        output = components.schema(action.output_schema, "serialization")
        done = {"description": "Done, without an output"}
        good = {"200": content("The output", output), "204": done}
    # An emergency stop does not wait for the journal, which keeps the keys.
    parameters = ([] if action.stop else [_KEY]) + ([] if action.synchronous else [_PREFER])
    post = _operation(f"{name}.invoke", action, good, *WRITING, parameters=parameters)
    if action.takes_input:
        schema = components.schema(action.input_schema, "validation")
        post["requestBody"] = _body(schema, required=action.requires_input)
    runs = {"200": content("Summaries, newest last", {"type": "array", "items": _OBJECT})}
    cancelled = {"204": {"description": "Cancellation is requested"}}
    one = f"one invocation of {name}"
    both = [_INVOCATION_ID, _PREFER]
    got = {"200": content("The invocation", _STATUS)}
    cancel = _operation(f"{name}.cancel", f"Cancel {one}", cancelled, "404", "409")
    return {
        name: {
            "post": post,
            "get": _operation(f"{name}.runs", f"List the invocations of {name}", runs),
        },
        f"{name}/{{id}}": {
            "get": _operation(f"{name}.query", f"Get {one}", got, "404", parameters=both),
            "delete": {**cancel, "parameters": [_INVOCATION_ID]},
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
    values = {"200": content("Name → value", {"type": "object", "properties": read})}
    body = _body({"type": "object", "properties": written, "additionalProperties": False})
    all_set = {"204": {"description": "All are set"}}
    runs = {"200": content("Action → its invocations, newest first", _OBJECT)}
    event = {"200": content("Event → its data, by long polling", _OBJECT)}
    get = _operation("properties.read", "Read all properties", values)
    summary = "Write several properties: all of them or none"
    put = _operation("properties.write", summary, all_set, "404", "405", *WRITING, requestBody=body)
    query = _operation("actions.query", "List the invocations of all actions", runs)
    subscribe = _operation("events.subscribe", "Subscribe to all events", event)
    return {
        "properties": {"get": with_following(get), "put": put},
        "actions": {"get": query},
        "events": {"get": with_following(subscribe)},
    }


def directory_paths(prefix: str) -> Json:
    base = f"{prefix}/directory"
    array = {"type": "array", "items": _OBJECT}
    description = content("The directory's Thing Description", _OBJECT, "application/td+json")
    things = content("Thing Descriptions", array, "application/ld+json")
    one = content("The Thing Description", _OBJECT, "application/td+json")
    number = {"type": "integer", "maximum": 999_999_999}
    pages = [
        parameter(name, "query", {**number, "minimum": least})
        for name, least in (("offset", 0), ("limit", 1))
    ]
    id = parameter("id", "path", {"type": "string"}, required=True)
    return {
        "/.well-known/wot": _get("Describe the directory", "describe", description),
        f"{base}/things": _get("List all Thing Descriptions", "things", things, pages),
        f"{base}/things/{{id}}": _get("Get one Thing Description", "thing", one, [id], "404"),
        f"{base}/events": _stream("Follow additions of Things", "directory.events", "directory"),
        f"{prefix}/events": _stream("Follow everything", "server.events", "server"),
    }


def _get(summary: str, name: str, answer: Json, parameters: Any = (), *problems: str) -> Json:
    good = {"200": answer, "304": NOT_MODIFIED}
    get = _operation(f"directory.{name}", summary, good, *problems, parameters=list(parameters))
    return {"get": {**get, "tags": ["directory"]}}


def _stream(summary: str, name: str, tag: str) -> Json:
    events = {"200": content("Server-sent events", {"type": "string"}, "text/event-stream")}
    stream = _operation(name, summary, events, parameters=[LAST_EVENT_ID], tags=[tag])
    return {"get": stream}
