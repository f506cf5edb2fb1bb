"""The OpenAPI document: FastAPI's own routes, the Things, their directory, and all problems."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from labthings_fastapi.bindings.http.property_resources import READING_TIME
from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.descriptors.event import EventDescriptor
from labthings_fastapi.descriptors.property import BaseProperty
from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE
from labthings_fastapi.schemas.values import ValueSchema
from labthings_fastapi.server.access.authentication import Authentication
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.directory import EVENTS, FORMATS
from labthings_fastapi.thing_description.paths import name_of, path_of, title_of

from .listed_routes import listed_routes
from .routes import VERSION

LOGGER = own_logger("server")
Json = dict[str, Any]
METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
_SCHEMAS = "#/components/schemas/"
PROBLEM_REF = {"$ref": f"{_SCHEMAS}Problem"}
_HTTP_ERROR = "HTTPValidationError"  # FastAPI's form of a 422, which this server does not send

_TEXTS = {
    "400": "The request is malformed",
    "401": "Not authenticated",
    "403": "Forbidden by the role, or sent by a web page of another origin",
    "404": "Not found",
    "405": "The method is not allowed: a read-only property, for example",
    "406": "The property is not observable",
    "409": "Busy, locked, or already finished",
    "413": "The body is too large",
    "415": "Content-Type must be application/json",
    "421": "The host name is not a name of this server",
    "422": "A value is not valid; `errors` has the reason and location of each error",
    "429": "Too many wrong tokens or passwords came from this address",
    "431": "The headers are too large",
    "500": "The code of the Thing failed",
    "503": "Overloaded, not ready, or not connected",
    "507": "No space is left to store this",
}
_HEADERS = {
    "401": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    "405": {"Allow": {"schema": {"type": "string"}}},
    "429": {"Retry-After": {"schema": {"type": "integer", "minimum": 0}}},
    "503": {"Retry-After": {"schema": {"type": "integer", "minimum": 0}}},
}
_ANY = ("400", "401", "403", "413", "421", "429", "431", "500", "503")
"""Problems of every operation: of the access checks, of overload, and of code of the Thing."""
WRITING = ("409", "415", "422", "507")
"""Further problems of operations that take a value or an input."""

NOT_MODIFIED: Json = {"description": "Not modified: `If-None-Match` has the current ETag"}
PROBLEM_SCHEMA: Json = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "properties": {
        **{key: {"type": "string"} for key in ("type", "title", "detail", "instance")},
        "status": {"type": "integer"},
        "errors": {"type": "array", "items": {"type": "object"}},
        "values": {
            "type": "object",
            "description": "Where some of several properties could not be read: the others.",
        },
    },
    "required": ["type", "title", "status", "detail"],
}


def content(text: str, schema: Json, media_type: str = "application/json", **more: Any) -> Json:
    return {"description": text, "content": {media_type: {"schema": schema}}, **more}


def _ref(code: str) -> Json:
    return {"$ref": f"#/components/responses/Problem{code}"}


def add_problems(document: Json) -> None:
    """Describe every problem once, and refer to those of every operation at each operation."""
    problems = document["components"].setdefault("responses", {})
    for code, text in _TEXTS.items():
        headers = {"headers": _HEADERS[code]} if code in _HEADERS else {}
        problems[f"Problem{code}"] = content(text, PROBLEM_REF, PROBLEM_MEDIA_TYPE, **headers)
    for item in document["paths"].values():
        for method in METHODS & item.keys():
            responses: Json = item[method]["responses"]
            for code, answer in responses.items():
                if code >= "400" and "$ref" not in answer and _is_fastapis(answer):
                    answer["content"] = {PROBLEM_MEDIA_TYPE: {"schema": PROBLEM_REF}}
            for code in _ANY:
                responses.setdefault(code, _ref(code))
            item[method]["responses"] = dict(sorted(responses.items()))
    for unused in (_HTTP_ERROR, "ValidationError"):
        document["components"]["schemas"].pop(unused, None)


def _is_fastapis(answer: Json) -> bool:
    """Return True if an error has no body described, or the form of FastAPI, which is not sent."""
    return _HTTP_ERROR in str(answer.get("content", _HTTP_ERROR))


def parameter(name: str, place: str, schema: Json, **more: Any) -> Json:
    return {"name": name, "in": place, "schema": schema, **more}


_TIME = {"type": "string", "format": "date-time"}
LAST_EVENT_ID = parameter(
    "Last-Event-ID", "header", {"type": "string"}, description="Begin after this event."
)
_OBSERVE = parameter(
    "observe",
    "query",
    {"type": "string", "enum": ["longpoll"]},
    description="Wait for the next value; of one property, a minute at most.",
)
_INITIAL = parameter(
    "initial",
    "query",
    {"type": "string", "enum": ["true"]},
    description="Begin a stream with the present value.",
)
_READING_TIME = {"description": "When the getter returned", "schema": _TIME}


def with_following(operation: Json, *more: Json) -> Json:
    operation["parameters"] = [
        *operation.get("parameters", ()),
        *(_OBSERVE, *more, LAST_EVENT_ID),
    ]
    content_types = operation["responses"]["200"]["content"]
    content_types["text/event-stream"] = {"schema": {"type": "string"}}
    return operation


class Components:
    """The named schemas of the document; a name that is taken gets a number."""

    def __init__(self, schemas: Json) -> None:
        self._schemas = schemas

    def schema(self, values: ValueSchema[Any], mode: Any) -> Json:
        suffix = ""
        number = 1
        while True:
            schema, definitions = values.json_schema(mode, f"{_SCHEMAS}{{model}}{suffix}")
            named = {f"{name}{suffix}": each for name, each in definitions.items()}
            if all(self._schemas.get(name, each) == each for name, each in named.items()):
                self._schemas.update(named)
                return schema
            number += 1
            suffix = f"_{number}"


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
_STATUS = {"$ref": f"{_SCHEMAS}ActionStatus"}
_LOCATION = {"Location": {"description": "The URL of the invocation", "schema": {"type": "string"}}}
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
    # A title that is computed is code of the Thing, which must not run on the event loop.
    title = title_of(thing) if isinstance(type(thing).title, str) else name_of(thing)
    describe = _operation("describe", f"Describe {title}", {"200": td, "304": NOT_MODIFIED})
    paths: Json = {"": {"get": describe}}
    for name, descriptor in thing.property_descriptors.items():
        paths |= _property(name, descriptor, components)
    for name, event in thing.event_descriptors.items():
        paths[name] = {"get": _event(event, components)}
    for name, action in thing.action_descriptors.items():
        paths |= _action(name, action, components)
    paths |= _all_of(thing, components)
    for item in paths.values():
        for operation in item.values():
            operation["tags"] = [name_of(thing)]
            operation["operationId"] = f"{name_of(thing)}.{operation['operationId']}"
    return {f"{path_of(thing)}{path}": item for path, item in paths.items()}


def _operation(id: str, about: Any, good: Json, *problems: str, **more: Any) -> Json:
    """Describe an operation; `about` is its summary, or the descriptor with title and text."""
    responses = good | {code: _ref(code) for code in problems}
    texts: Json = {"summary": about if isinstance(about, str) else about.title}
    if not isinstance(about, str) and about.description and about.description != about.title:
        texts["description"] = about.description
    return {**texts, "operationId": id, "responses": responses, **more}


def _body(schema: Json, file_types: Iterable[str] = (), *, required: bool = True) -> Json:
    content = {"application/json": {"schema": schema}} | _files(file_types)
    return {"required": required, "content": content}


def _files(media_types: Iterable[str]) -> Json:
    """Return the content of bodies that are files with arrays."""
    return {each: {"schema": {"type": "string", "format": "binary"}} for each in media_types}


def _property(name: str, descriptor: BaseProperty[Any], components: Components) -> Json:
    read = {"200": content("The value", components.schema(descriptor.schema, "serialization"))}
    file_types = descriptor.schema.file_types
    read["200"]["content"] |= _files(file_types)
    if not descriptor.quick:
        read["200"]["headers"] = {READING_TIME: _READING_TIME}
    if descriptor.is_observable:
        item = {"get": with_following(_operation(f"{name}.read", descriptor, read), _INITIAL)}
    else:
        item = {"get": _operation(f"{name}.read", descriptor, read, "406")}
    if not descriptor.readonly:
        done = {"204": {"description": "The value is set"}}
        body = _body(components.schema(descriptor.schema, "validation"), file_types)
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
    good: Json = {"201": content("The invocation has been started", _STATUS, headers=_LOCATION)}
    if action.synchronous:
        output = components.schema(action.output_schema, "serialization")
        done = {"description": "Done, without an output"}
        good = {"200": content("The output", output), "204": done}
        good["200"]["content"] |= _files(action.output_schema.file_types)
    # An emergency stop does not wait for the journal, which keeps the keys.
    parameters = ([] if action.stop else [_KEY]) + ([] if action.synchronous else [_PREFER])
    post = _operation(f"{name}.invoke", action, good, *WRITING, parameters=parameters)
    if action.takes_input:
        schema = components.schema(action.input_schema, "validation")
        types = action.input_schema.file_types
        post["requestBody"] = _body(schema, types, required=action.requires_input)
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
    found: Json = {
        "properties": {"get": with_following(get, _INITIAL), "put": put},
        "actions": {"get": query},
        "events": {"get": with_following(subscribe)},
    }
    return {name: item for name, item in found.items() if name not in thing.hidden_resources}


def directory_paths(prefix: str) -> Json:
    base = f"{prefix}/directory"
    array = {"type": "array", "items": _OBJECT}
    description = content("The directory's Thing Description", _OBJECT, "application/td+json")
    things = content("Thing Descriptions", {"oneOf": [array, _OBJECT]}, "application/ld+json")
    one = content("The Thing Description", _OBJECT, "application/td+json")
    number = {"type": "integer", "maximum": 999_999_999}
    pages = [
        parameter(name, "query", {**number, "minimum": least})
        for name, least in (("offset", 0), ("limit", 1))
    ]
    pages.append(parameter("format", "query", {"type": "string", "enum": list(FORMATS)}))
    id = parameter("id", "path", {"type": "string"}, required=True)
    followed = {
        f"{base}/events/{kind}": _stream(text, f"directory.events_{kind}", "directory")
        for kind, text in EVENTS.items()
    }
    return {
        "/.well-known/wot": _get("Describe the directory", "describe", description),
        f"{base}/things": _get("List all Thing Descriptions", "things", things, pages),
        f"{base}/things/{{id}}": _get("Get one Thing Description", "thing", one, [id], "404"),
        f"{base}/events": _stream("Follow additions of Things", "directory.events", "directory"),
        **followed,
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


class ThingsAPI(FastAPI):
    def __init__(
        self,
        things: Callable[[], Mapping[str, Thing]],
        authentication: Authentication,
        prefix: str,
        **options: Any,
    ) -> None:
        # FastAPI's own page would load scripts from another host: see `docs_page`.
        pages: Json = {"docs_url": None, "redoc_url": None, "openapi_url": f"{prefix}/openapi.json"}
        super().__init__(title="LabThings", version=VERSION, **pages, **options)
        self._things = things
        self._authentication = authentication
        self._prefix = prefix
        self._lock = threading.Lock()  # guards the next, and the document that goes with it
        self._discarded = 0
        self.undescribed: Mapping[str, str] = {}
        """What the last document does not describe → the reason; replaced, never changed."""
        self._wrapped: ASGIApp = super().__call__
        self._included: list[tuple[str, Any]] = []
        self._lists_all = True

    @property
    def routes(self) -> list[BaseRoute]:
        """One entry for each path, those of the Things among them, for tools that list them.

        To add a route, use FastAPI's own ways, such as `app.add_api_route`.
        """
        if not self._lists_all:
            return self.router.routes
        things = self._things().values()
        return [*listed_routes(self, self.router.routes, self._included, things)]

    def include_router(self, router: Any, *, prefix: str = "", **options: Any) -> None:
        """Add the routes of a router, as FastAPI does."""
        self._included.append((prefix, router))
        super().include_router(router, prefix=prefix, **options)

    def wrap(self, middleware: Callable[[ASGIApp], ASGIApp]) -> None:
        """Put a middleware around the app, outside of all that `add_middleware` ever adds."""
        self._wrapped = middleware(self._wrapped)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._wrapped(scope, receive, send)

    def discard_document(self) -> None:
        with self._lock:
            self._discarded += 1
            self.openapi_schema = None

    def openapi(self) -> Json:
        document = self.openapi_schema
        if document is None:
            discarded = self._discarded
            document = self._write_document()
            with self._lock:
                if discarded == self._discarded:  # otherwise a new Thing may be missing
                    self.openapi_schema = document
        return document

    def _write_document(self) -> Json:
        # With a copy of the app: FastAPI keeps its part of the document in `openapi_schema`, where
        # other threads would take it for the whole document.
        app = copy.copy(self)
        app.openapi_schema = None
        app._lists_all = False
        undescribed: dict[str, str] = {}
        try:
            document = super(ThingsAPI, app).openapi()
        except Exception:  # noqa: BLE001 - the types of users' endpoints raise anything
            app.router = copy.copy(app.router)
            app.router.routes = [*_describable(app.router.routes, undescribed)]
            document = super(ThingsAPI, app).openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= {"Problem": PROBLEM_SCHEMA, "ActionStatus": ACTION_STATUS}
        components = Components(schemas)
        for name, thing in self._things().items():
            try:
                document["paths"].update(thing_paths(thing, components))
            except Exception as error:  # noqa: BLE001 - one Thing must not hide the others
                undescribed[f"Thing {name!r}"] = describe_exception(error)
        for what, reason in undescribed.items() - self.undescribed.items():
            LOGGER.error("%s is missing in the OpenAPI document: %s", what, reason)
        self.undescribed = undescribed
        document["paths"].update(directory_paths(self._prefix))
        add_problems(document)
        if self._authentication.required:
            _add_security_schemes(document, self._authentication, self._prefix)
        return document


def _describable(routes: Sequence[BaseRoute], undescribed: dict[str, str]) -> Iterator[BaseRoute]:
    """Yield the routes that FastAPI can describe, and note the others."""
    for route in routes:
        try:
            get_openapi(title="", version="", routes=[route])
        except Exception as error:  # noqa: BLE001 - as in `_write_document`
            inner = getattr(getattr(route, "original_router", None), "routes", (route,))
            paths = ", ".join(repr(getattr(each, "path", each)) for each in inner)
            undescribed[f"The endpoint at {paths}"] = describe_exception(error)
        else:
            yield route


def _add_security_schemes(document: Json, authentication: Authentication, prefix: str) -> None:
    names = authentication.schemes
    schemes: Json = {scheme: {"type": "http", "scheme": scheme} for scheme in names}
    schemes["session"] = {
        "type": "apiKey",
        "in": "cookie",
        "name": authentication.authenticator.cookie,
        "description": f"The cookie that `POST {prefix}/session` sets in a browser.",
    }
    document["components"]["securitySchemes"] = schemes
    document["security"] = [{name: []} for name in schemes]
    for operation in document["paths"][f"{prefix}/session"].values():
        if operation["operationId"].startswith(("begin_session", "end_session")):
            operation["security"] = []
