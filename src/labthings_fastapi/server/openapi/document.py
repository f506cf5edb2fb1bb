"""The OpenAPI document: FastAPI's own routes, the Things, and all that can go wrong."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import FastAPI

from labthings_fastapi.server.routes import VERSION

from .components import Components
from .directory import directory_paths, events_path
from .responses import PROBLEM_SCHEMA, say_what_goes_wrong
from .things import ACTION_STATUS, thing_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from labthings_fastapi.server.access.checks import AccessChecks
    from labthings_fastapi.thing import Thing

Json = dict[str, Any]


class Holder(Protocol):
    """What has Things: a `ThingServer`."""

    @property
    def things(self) -> Mapping[str, Thing]:
        """The Things by name."""

    @property
    def api_prefix(self) -> str:
        """What comes before every path."""

    @property
    def access(self) -> AccessChecks:
        """Whom the server lets in."""


class ThingsAPI(FastAPI):
    """A FastAPI app whose OpenAPI document also describes Things.

    Call `describe_anew` when a Thing is added. The document may be asked for in any thread.
    """

    def __init__(self, holder: Holder, **options: Any) -> None:
        """Describe the Things of `holder`."""
        # FastAPI's own page would load scripts from another host: see `docs_page`.
        super().__init__(
            title="LabThings", version=VERSION, docs_url=None, redoc_url=None, **options
        )
        self._holder = holder
        self._lock = threading.Lock()  # guards the next, and the document that goes with it
        self._additions = 0
        self._wrapped: ASGIApp = super().__call__

    def wrap(self, middleware: Callable[[ASGIApp], ASGIApp]) -> None:
        """Put a middleware around the app, outside of all that `add_middleware` ever adds."""
        self._wrapped = middleware(self._wrapped)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        await self._wrapped(scope, receive, send)

    def describe_anew(self) -> None:
        """Have the document written anew when somebody asks next; any thread."""
        with self._lock:
            self._additions += 1
            self.openapi_schema = None

    def openapi(self) -> Json:
        """Return the document, written once until `openapi_schema` is dropped."""
        document = self.openapi_schema
        if document is None:
            additions = self._additions
            document = self._written()
            with self._lock:
                if additions == self._additions:  # otherwise a Thing may be missing in it
                    self.openapi_schema = document
        return document

    def _written(self) -> Json:
        # By a twin: FastAPI keeps its part of the document where others would take it for whole.
        twin = copy.copy(self)
        twin.openapi_schema = None
        document = super(ThingsAPI, twin).openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= {"Problem": PROBLEM_SCHEMA, "ActionStatus": ACTION_STATUS}
        components = Components(schemas)
        for thing in self._holder.things.values():
            document["paths"].update(thing_paths(thing, components))
        prefix = self._holder.api_prefix
        document["paths"].update(directory_paths(prefix) | events_path(prefix))
        say_what_goes_wrong(document)
        security_schemes(document, self._holder.access, prefix)
        return document


def security_schemes(document: Json, access: AccessChecks, prefix: str) -> None:
    """Say how clients prove who they are; nothing is said where nobody is asked."""
    if not access.authentication.required:
        return
    found: Json = {
        scheme: {"type": "http", "scheme": scheme} for scheme in access.authentication.schemes
    }
    found["session"] = {
        "type": "apiKey",
        "in": "cookie",
        "name": access.authentication.authenticator.cookie,
        "description": f"What `POST {prefix}/session` sets in a browser.",
    }
    document["components"]["securitySchemes"] = found
    document["security"] = [{name: []} for name in found]
    for operation in document["paths"][f"{prefix}/session"].values():
        if operation["operationId"].startswith(("begin_session", "end_session")):
            operation["security"] = []
