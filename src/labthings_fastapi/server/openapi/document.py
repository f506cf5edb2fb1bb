"""The OpenAPI document: FastAPI's own routes, the Things, and all problems."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from labthings_fastapi.server.access.authentication import Authentication
from labthings_fastapi.server.routes import VERSION
from labthings_fastapi.thing import Thing

from .things import (
    ACTION_STATUS,
    PROBLEM_SCHEMA,
    Components,
    add_problems,
    directory_paths,
    thing_paths,
)

Json = dict[str, Any]


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
        self._wrapped: ASGIApp = super().__call__

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
        document = super(ThingsAPI, app).openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= {"Problem": PROBLEM_SCHEMA, "ActionStatus": ACTION_STATUS}
        components = Components(schemas)
        for thing in self._things().values():
            document["paths"].update(thing_paths(thing, components))
        document["paths"].update(directory_paths(self._prefix))
        add_problems(document)
        if self._authentication.required:
            _add_security_schemes(document, self._authentication, self._prefix)
        return document


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
