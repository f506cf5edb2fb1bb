"""Exchange a token for a cookie: browsers can send no header with images and streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from labthings_fastapi.problems import message_problem
from labthings_fastapi.routes import ProblemRoute, problem_response
from labthings_fastapi.security.authentication import NamePassword
from labthings_fastapi.security.sessions import SESSION_SECONDS

from .rejections import unknown_actor

if TYPE_CHECKING:
    from fastapi import FastAPI

    from labthings_fastapi.security.credentials import Credential
    from labthings_fastapi.security.roles import Actor

    from .policy import AccessPolicy


class Login(BaseModel):
    """A token, or a name and a password."""

    model_config = ConfigDict(extra="forbid")

    token: str | None = Field(default=None, max_length=1000)
    name: str | None = Field(default=None, max_length=1000)
    password: str | None = Field(default=None, max_length=1000)


class WhoAmI(BaseModel):
    """The actor that the server takes a client for."""

    name: str | None
    role: str
    things: dict[str, str]


_WHO: dict[int | str, dict[str, Any]] = {200: {"model": WhoAmI, "description": "Who you are"}}
_REFUSED: dict[int | str, dict[str, Any]] = {
    204: {"description": "The cookie is set"},
    401: {"description": "No valid token or password"},
    409: {"description": "This server asks nobody who they are"},
}


def attach(access: AccessPolicy, app: FastAPI, prefix: str) -> None:
    """Add `/session` to the server's app."""
    router = APIRouter(route_class=ProblemRoute, tags=["server"])
    cookie = access.authentication.authenticator.cookie

    @router.post(
        "/session", name="begin_session", status_code=204, responses=_REFUSED, response_model=None
    )
    async def begin_session(request: Request, login: Login | None = None) -> Response:
        """Show a token or a password, in the body or as `Authorization`; the answer is a cookie."""
        if not access.required:
            return problem_response(
                message_problem(
                    "no-authentication",
                    "There is nothing to show",
                    409,
                    "This server asks nobody who they are, so it needs no sessions.",
                ).at(request.url.path)
            )
        found = await _credential(access, request, login)
        if found is None:
            refusal = unknown_actor(tried=True, passwords=access.authentication.passwords)
            return problem_response(refusal.at(request.url.path))
        answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
        answer.set_cookie(
            cookie,
            access.authentication.authenticator.sessions.begin(found.hash),
            max_age=SESSION_SECONDS,
            path=f"{request.scope.get('root_path', '').rstrip('/')}{prefix}/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    @router.delete("/session", name="end_session", status_code=204, response_class=Response)
    async def end_session(request: Request) -> Response:
        """Forget the cookie, here and in the browser."""
        access.authentication.authenticator.sessions.end(request.cookies.get(cookie, ""))
        answer = Response(status_code=204)
        answer.delete_cookie(
            cookie, path=f"{request.scope.get('root_path', '').rstrip('/')}{prefix}/"
        )
        return answer

    @router.get("/session", name="who_am_i", responses=_WHO)
    async def who_am_i(request: Request) -> WhoAmI:
        """Say whom the server takes you for; without authentication everybody may do everything."""
        actor: Actor | None = request.scope.get("labthings.actor")
        if actor is None:
            return WhoAmI(name=None, role="admin", things={})
        return WhoAmI(name=actor.name, role=actor.role, things=dict(actor.things))

    app.include_router(router, prefix=prefix)


async def _credential(
    access: AccessPolicy, request: Request, login: Login | None
) -> Credential | None:
    if login is not None and login.token is not None:
        return await access.authentication.check(f"Bearer {login.token}")
    if login is not None and login.name is not None:
        pair = NamePassword(login.name, login.password or "")
        return await access.authentication.check_password(pair)
    authorization = request.headers.get("authorization")
    return await access.authentication.check(authorization) if authorization is not None else None
