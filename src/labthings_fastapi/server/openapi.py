"""The OpenAPI document, in which Things are described from their descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from fastapi import FastAPI

from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE

from .openapi_directory import directory_paths
from .openapi_following import following
from .routes import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.descriptors.event import EventDescriptor
    from labthings_fastapi.descriptors.property import BaseProperty
    from labthings_fastapi.schemas.values import ValueSchema
    from labthings_fastapi.thing import Thing

Json = dict[str, Any]
_REF = "#/components/schemas/"
_PROBLEM = {"$ref": f"{_REF}Problem"}
_HTTP_ERROR = "HTTPValidationError"  # FastAPI's own form of a 422, which is never sent here
_RUN_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and input within 24 hours give back the same run.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_COMMON: Json = {
    "Problem": {
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "errors": {"type": "array", "items": {"type": "object"}},
        },
        "required": ["type", "title", "status", "detail"],
    },
    "ActionStatus": {
        "type": "object",
        "description": "One run of an action (WoT Profiles).",
        "properties": {
            "status": {"enum": ["pending", "running", "completed", "failed"]},
            "href": {"type": "string"},
            "id": {"type": "string", "format": "uuid"},
            "timeRequested": {"type": "string", "format": "date-time"},
            "timeStarted": {"type": "string", "format": "date-time"},
            "timeEnded": {"type": "string", "format": "date-time"},
            "progress": {"type": "number", "minimum": 0, "maximum": 100},
            "output": {},
            "error": _PROBLEM,
        },
        "required": ["status", "href"],
    },
}


class Holder(Protocol):
    """What has Things: a `ThingServer`."""

    @property
    def things(self) -> Mapping[str, Thing]:
        """The Things by name."""

    @property
    def api_prefix(self) -> str:
        """What comes before every path."""


class ThingsAPI(FastAPI):
    """A FastAPI app whose OpenAPI document also describes Things.

    Set `openapi_schema` to None when a Thing is added.
    """

    def __init__(self, holder: Holder, **options: Any) -> None:
        """Describe the Things of `holder`."""
        super().__init__(
            title="LabThings", version=VERSION, docs_url=None, redoc_url=None, **options
        )
        self._holder = holder
        self._entered: ASGIApp = super().__call__

    def guard(self, door: Callable[[ASGIApp], ASGIApp]) -> None:
        """Let everything that comes in pass `door` first, also before middleware added later.

        `door` is given the app as it was, and returns what to call in its place.
        """
        self._entered = door(super().__call__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        await self._entered(scope, receive, send)

    def openapi(self) -> Json:
        """Return the document, written once until `openapi_schema` is dropped."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(_COMMON)
            _say_problems(document)
            components = Components(schemas)
            for thing in self._holder.things.values():
                document["paths"].update(thing_paths(thing, components))
            document["paths"].update(directory_paths(self._holder.api_prefix))
            self.openapi_schema = document
        return self.openapi_schema


def _say_problems(document: Json) -> None:
    """Describe the errors of FastAPI's own routes as what they are: problem details."""
    for item in document["paths"].values():
        for operation in item.values():
            for code, answer in operation["responses"].items():
                if code >= "400" and _HTTP_ERROR in str(answer.get("content", _HTTP_ERROR)):
                    answer["content"] = {PROBLEM_MEDIA_TYPE: {"schema": _PROBLEM}}
    for unused in (_HTTP_ERROR, "ValidationError"):
        document["components"]["schemas"].pop(unused, None)


class Components:
    """The schemas that others refer to by name, with a number added to names that are taken."""

    def __init__(self, schemas: Json) -> None:
        """Add to the document's own schemas."""
        self._schemas = schemas

    def schema(self, values: ValueSchema[Any], mode: Any) -> Json:
        """Return the JSON Schema of a type, after adding what it refers to."""
        suffix = ""
        number = 1
        while True:
            schema, definitions = values.json_schema(mode, f"{_REF}{{model}}{suffix}")
            named = {f"{name}{suffix}": found for name, found in definitions.items()}
            if all(self._schemas.get(name, found) == found for name, found in named.items()):
                self._schemas.update(named)
                return schema
            number += 1
            suffix = f"_{number}"


def thing_paths(thing: Thing, components: Components) -> Json:
    """Describe all URLs of a Thing."""
    tags = [thing.name]
    paths: Json = {
        thing.path: {
            "get": {
                "tags": tags,
                "summary": f"Describe {thing.title}",
                "operationId": f"{thing.name}.describe",
                "responses": _responses(
                    {"200": _content("The Thing Description", {}, "application/td+json")}
                ),
            }
        }
    }
    for name, info in thing.properties.items():
        paths[f"{thing.path}{name}"] = _property(thing, info.descriptor, components)
    for name, event in thing.event_descriptors.items():
        paths[f"{thing.path}{name}"] = _event(thing, event, components)
    for name, action in thing.actions.items():
        paths[f"{thing.path}{name}"] = _action(thing, action, components)
        paths[f"{thing.path}{name}/{{id}}"] = _run(thing, action)
    paths |= _all_of(thing)
    for item in paths.values():
        for operation in item.values():
            if isinstance(operation, dict):
                operation["tags"] = tags
    return paths


def _content(text: str, schema: Json, media_type: str = "application/json") -> Json:
    return {"description": text, "content": {media_type: {"schema": schema}}}


def _responses(good: Json, *problems: str) -> Json:
    texts = {
        "400": "The body is not JSON",
        "404": "Not found",
        "405": "A property cannot be written",
        "409": "Busy, or already finished",
        "413": "The body is too large",
        "415": "The body is not called JSON",
        "422": "The value is not valid",
        "500": "The code of the Thing failed",
        "503": "Too much at once, or not ready",
        "507": "No space left",
    }
    bad = {code: _content(texts[code], _PROBLEM, PROBLEM_MEDIA_TYPE) for code in problems}
    return good | bad


def _texts(descriptor: Any) -> Json:
    found = {"summary": descriptor.title}
    if descriptor.description and descriptor.description != descriptor.title:
        found["description"] = descriptor.description
    return found


def _property(thing: Thing, descriptor: BaseProperty[Any], components: Components) -> Json:
    read = components.schema(descriptor.schema, "serialization")
    paths: Json = {
        "get": {
            **_texts(descriptor),
            "operationId": f"{thing.name}.{descriptor.name}.read",
            "responses": _responses({"200": _content("The value", read)}, "500", "503"),
        }
    }
    if descriptor.is_observable:
        following(paths["get"])
    if not descriptor.readonly:
        written = components.schema(descriptor.schema, "validation")
        paths["put"] = {
            **_texts(descriptor),
            "operationId": f"{thing.name}.{descriptor.name}.write",
            "requestBody": {"required": True, "content": {"application/json": {"schema": written}}},
            "responses": _responses(
                {"204": {"description": "The value is set"}},
                *("400", "409", "413", "415", "422", "500", "503", "507"),
            ),
        }
    return paths


def _event(thing: Thing, event: EventDescriptor, components: Components) -> Json:
    data = components.schema(event.schema, "serialization")
    operation: Json = {
        **_texts(event),
        "operationId": f"{thing.name}.{event.name}.subscribe",
        "responses": _responses({"200": _content("The event's data, by long polling", data)}),
    }
    return {"get": following(operation)}


def _action(thing: Thing, action: ActionDescriptor[Any, Any, Any], components: Components) -> Json:
    if action.synchronous:
        output = components.schema(action.output_schema, "serialization")
        good: Json = {
            "200": _content("The output", output),
            "204": {"description": "Done, without an output"},
        }
    else:
        good = {"201": _content("The run has been started", {"$ref": f"{_REF}ActionStatus"})}
    post: Json = {
        **_texts(action),
        "operationId": f"{thing.name}.{action.name}.invoke",
        "parameters": [_KEY],
        "responses": _responses(good, "400", "409", "413", "415", "422", "500", "503", "507"),
    }
    if action.takes_input:
        schema = components.schema(action.input_schema, "validation")
        post["requestBody"] = {
            "required": action.requires_input,
            "content": {"application/json": {"schema": schema}},
        }
    runs = {"type": "array", "items": {"type": "object"}}
    return {
        "post": post,
        "get": {
            "summary": f"List the runs of {action.name}",
            "operationId": f"{thing.name}.{action.name}.runs",
            "responses": _responses({"200": _content("Summaries, newest last", runs)}),
        },
    }


def _run(thing: Thing, action: ActionDescriptor[Any, Any, Any]) -> Json:
    status = _content("The run", {"$ref": f"{_REF}ActionStatus"})
    return {
        "get": {
            "summary": f"Show one run of {action.name}",
            "operationId": f"{thing.name}.{action.name}.query",
            "parameters": [_RUN_ID],
            "responses": _responses({"200": status}, "404"),
        },
        "delete": {
            "summary": f"Cancel one run of {action.name}",
            "operationId": f"{thing.name}.{action.name}.cancel",
            "parameters": [_RUN_ID],
            "responses": _responses(
                {"204": {"description": "The run has been asked to stop"}}, "404", "409"
            ),
        },
    }


def _all_of(thing: Thing) -> Json:
    values = {"type": "object"}
    found: Json = {
        f"{thing.path}properties": {
            "get": {
                "summary": "Read all properties",
                "operationId": f"{thing.name}.properties.read",
                "responses": _responses({"200": _content("Name → value", values)}, "500", "503"),
            },
            "put": {
                "summary": "Write several properties, all or nothing",
                "operationId": f"{thing.name}.properties.write",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": values}},
                },
                "responses": _responses(
                    {"204": {"description": "All are set"}},
                    *("400", "404", "405", "409", "413", "415", "422", "500", "503", "507"),
                ),
            },
        },
        f"{thing.path}actions": {
            "get": {
                "summary": "List the runs of all actions",
                "operationId": f"{thing.name}.actions.query",
                "responses": _responses({"200": _content("Action → its runs", values)}),
            }
        },
    }
    found[f"{thing.path}events"] = {
        "get": {
            "summary": "Hear of all events",
            "operationId": f"{thing.name}.events.subscribe",
            "responses": _responses({"200": _content("Event → its data, by polling", values)}),
        }
    }
    for name in ("properties", "events"):
        following(found[f"{thing.path}{name}"]["get"])
    return found
