"""`/session`: a cookie for a token, as images and streams send no headers; the sign-in page."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from string import Template
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from labthings_fastapi.problems import message_problem
from labthings_fastapi.request_location import root_path
from labthings_fastapi.routes import ProblemRoute, problem_response
from labthings_fastapi.security.authentication import NamePassword
from labthings_fastapi.security.credentials import Credential
from labthings_fastapi.security.guesses import TooManyGuessesError
from labthings_fastapi.security.roles import Actor
from labthings_fastapi.security.sessions import SESSION_SECONDS

from .authentication import Authentication
from .client_address import client_of
from .refusals import too_many_guesses, unauthenticated


class Login(BaseModel):
    """A token, or a name and a password."""

    model_config = ConfigDict(extra="forbid")

    token: str | None = Field(default=None, max_length=1000)
    name: str | None = Field(default=None, max_length=1000)
    password: str | None = Field(default=None, max_length=1000)


class WhoAmI(BaseModel):
    """The actor of a client, with its role and the roles for single Things."""

    name: str | None
    role: str
    things: dict[str, str]


_WHO: dict[int | str, dict[str, Any]] = {200: {"model": WhoAmI, "description": "The actor"}}
_REFUSED: dict[int | str, dict[str, Any]] = {
    204: {"description": "The cookie is set"},
    401: {"description": "No valid token or password"},
    409: {"description": "The server has no authentication"},
    429: {"description": "Too many wrong tokens or passwords came from this address"},
}
_PAGE = resources.files(__package__).joinpath("login_page.html").read_text("utf-8")


def _hash(element: str) -> str:
    text = re.findall(f"<{element}>(.*)</{element}>", _PAGE, re.DOTALL)[0]
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_POLICY = (
    f"default-src 'none'; script-src 'sha256-{_hash('script')}'; "
    f"style-src 'sha256-{_hash('style')}'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def wants_page(method: str, headers: Mapping[bytes, bytes]) -> bool:
    if method != "GET" or b"text/html" not in headers.get(b"accept", b""):
        return False
    return headers.get(b"sec-fetch-mode", b"navigate") == b"navigate"


def login_page(session_path: str) -> tuple[bytes, str, dict[str, str]]:
    session = html.escape(json.dumps(session_path)[1:-1], quote=True)
    text = Template(_PAGE).substitute(session=session)
    return text.encode(), "text/html; charset=utf-8", {"Content-Security-Policy": _POLICY}


def attach(authentication: Authentication, app: FastAPI, prefix: str) -> None:
    router = APIRouter(route_class=ProblemRoute, tags=["server"])
    authenticator = authentication.authenticator

    def cookie_path(request: Request) -> str:
        return f"{root_path(request.scope)}{prefix}/"

    @router.post(
        "/session", name="begin_session", status_code=204, responses=_REFUSED, response_model=None
    )
    async def begin_session(request: Request, login: Login | None = None) -> Response:
        """Sign in with a token or password, in the body or in `Authorization`; sets a cookie."""
        if not authentication.required:
            title = "The server has no authentication"
            detail = "This server has no authentication, so clients need no session."
            refusal = message_problem("no-authentication", title, 409, detail)
            return problem_response(refusal.at(request.url.path))
        try:
            credential = await _credential(authentication, request, login)
        except TooManyGuessesError as error:
            return problem_response(too_many_guesses(error).at(request.url.path))
        if credential is None:
            refusal = unauthenticated(invalid=True, passwords=authentication.passwords)
            return problem_response(refusal.at(request.url.path))
        response = Response(status_code=204, headers={"Cache-Control": "no-store"})
        response.set_cookie(
            authenticator.cookie,
            authenticator.sessions.begin(credential.hash),
            max_age=SESSION_SECONDS,
            path=cookie_path(request),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    @router.delete("/session", name="end_session", status_code=204, response_class=Response)
    async def end_session(request: Request) -> Response:
        """Sign out: end the session with its streams and sockets, and delete its cookie."""
        authentication.end_session(request.cookies.get(authenticator.cookie, ""))
        response = Response(status_code=204)
        response.delete_cookie(authenticator.cookie, path=cookie_path(request))
        return response

    @router.get("/session", name="who_am_i", responses=_WHO)
    async def who_am_i(request: Request) -> WhoAmI:
        """Send the actor of this client; without authentication, every client has all rights."""
        actor: Actor | None = request.scope.get("labthings.actor")
        if actor is None:
            return WhoAmI(name=None, role="admin", things={})
        return WhoAmI(name=actor.name, role=actor.role, things=dict(actor.things))

    app.include_router(router, prefix=prefix)


async def _credential(
    authentication: Authentication, request: Request, login: Login | None
) -> Credential | None:
    address = client_of(request.scope).address
    if login is not None and login.token is not None:
        return await authentication.check(f"Bearer {login.token}", address)
    if login is not None and login.name is not None:
        pair = NamePassword(login.name, login.password or "")
        return await authentication.check_password(pair, address)
    authorization = request.headers.get("authorization")
    if authorization is None:
        return None
    return await authentication.check(authorization, address)
