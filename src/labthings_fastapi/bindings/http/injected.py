"""FastAPI routes, for actions with injected dependencies and for endpoints of users."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from labthings_fastapi.actions.context import current_requester
from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.turns import PATIENCE, turn_of
from labthings_fastapi.bindings.interaction.failures import (
    ReportedFailure,
    interaction_problem,
    with_traceback,
)
from labthings_fastapi.bindings.interaction.properties import CLIENT_PATIENCE
from labthings_fastapi.concurrency.bounded_executor import UserCodeExit
from labthings_fastapi.dependencies.invocation import CancelHook, InvocationID
from labthings_fastapi.dependencies.server import shows_tracebacks
from labthings_fastapi.exceptions import ThingNotOpenError, describe_exception
from labthings_fastapi.routes import ProblemRoute, problem_response
from labthings_fastapi.schemas.array_files import ArrayFile
from labthings_fastapi.thing_description.paths import name_of, path_of

from .request_response import ClientGoneError, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from fastapi import FastAPI

    from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
    from labthings_fastapi.descriptors.endpoint import EndpointDescriptor
    from labthings_fastapi.thing import Thing

    from .action_resources import ActionResource

_REQUEST, _BODY, _ID, _HOOK = (f"labthings_{part}" for part in ("request", "body", "id", "hook"))


def user_code_route(thing: Thing, label: str, *, is_endpoint: bool = False) -> type[ProblemRoute]:
    """Return a route class that turns failures of a Thing's code into problem details.

    A request that reaches an endpoint is marked: its code may have moved something.
    """

    class UserCodeRoute(ProblemRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()
            opening = thing._thing_server_interface.opening

            async def answer(request: Request) -> Response:
                requester = current_requester.get() if is_endpoint else None
                if requester is not None:
                    requester.reached_user_code = True
                try:
                    opening.require()
                    return await handle(request)
                except ThingNotOpenError as error:
                    return problem_response(interaction_problem(error, label, request.url.path))
                except (ClientDisconnect, ClientGoneError):
                    return Response(status_code=400)  # is not sent: the client has gone
                except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - logged
                    # `sys.exit()` in a dependency or endpoint would end the event loop.
                    raised = error.raised if isinstance(error, UserCodeExit) else error
                    text = describe_exception(raised)
                    thing_log(name_of(thing)).error("%s failed: %s", label, text, exc_info=raised)
                    failure = ReportedFailure(label, raised)
                    problem = interaction_problem(failure, label, request.url.path)
                    if shows_tracebacks(request.scope):
                        problem = with_traceback(problem, failure)
                    return problem_response(problem)

            return answer

    return UserCodeRoute


async def _body(request: Request) -> bytes | ArrayFile:
    return await HttpRequest(request.scope, request.receive).value()


def add_action_route(app: FastAPI, thing: Thing, resource: ActionResource) -> None:
    """Add a POST route; FastAPI resolves the dependencies, and the action gets them."""
    action = resource.descriptor

    async def start_action(**values: Any) -> Response:
        request: Request = values.pop(_REQUEST)
        http_request = HttpRequest(request.scope, request.receive)
        body, id, hook = values.pop(_BODY), values.pop(_ID), values.pop(_HOOK)
        try:
            answer = await resource.invoke(
                http_request, body, id=id, cancel_hook=hook, dependencies=values
            )
        except ValidationError as error:
            return problem_response(interaction_problem(error, resource.label, request.url.path))
        if answer.problem is not None:
            return problem_response(answer.problem)
        body = b"".join(answer.parts) if answer.parts else answer.body
        return Response(
            body,
            status_code=answer.status,
            headers=answer.headers,
            media_type=answer.media_type if body else None,
        )

    injected = action.dependency_params.values()
    start_action.__signature__ = _signature(injected)  # type: ignore[attr-defined]
    router = APIRouter(route_class=user_code_route(thing, resource.label))
    router.add_api_route(
        f"{path_of(thing)}{action.name}",
        start_action,
        methods=["POST"],
        name=f"{name_of(thing)}.{action.name}",
        # The OpenAPI document describes all actions in one way, from their descriptors.
        include_in_schema=False,
    )
    app.include_router(router)


def _signature(injected: Iterable[inspect.Parameter]) -> inspect.Signature:
    """Return the signature of a route: the body first, then the dependencies of the action.

    So a malformed body is refused before dependencies are made. FastAPI makes the id and the cancel
    hook once for each request, so the action and its dependencies get the same ones.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = {
        _REQUEST: Request,
        _BODY: Annotated[Any, Depends(_body)],
        _ID: InvocationID,
        _HOOK: CancelHook,
    }
    parameters = [inspect.Parameter(name, keyword, annotation=hint) for name, hint in own.items()]
    return inspect.Signature(
        parameters + [parameter.replace(kind=keyword) for parameter in injected]
    )


def add_endpoint_route(
    app: FastAPI, thing: Thing, endpoint: EndpointDescriptor, executor: BoundedExecutor
) -> None:
    """Add a user's endpoint, bound to its Thing."""
    label = f"Endpoint {endpoint.name!r} of Thing {name_of(thing)!r}"
    router = APIRouter(
        route_class=user_code_route(thing, label, is_endpoint=True), tags=[name_of(thing)]
    )
    router.add_api_route(
        f"{path_of(thing)}{endpoint.path}",
        _bound(endpoint.__get__(thing), executor, thing),
        methods=[endpoint.http_method.upper()],
        **{
            "name": f"{name_of(thing)}.{endpoint.name}",
            "summary": endpoint.title,
            "description": endpoint.description,
            **endpoint.kwargs,
        },
    )
    app.include_router(router)


def _bound(method: Any, executor: BoundedExecutor, thing: Thing) -> Any:
    """Let a plain method run on its Thing's executor, so that one Thing never delays another."""
    turn = turn_of(thing)
    what = f"a request for endpoint {method.__name__!r}"
    if (
        inspect.iscoroutinefunction(method)
        or inspect.isgeneratorfunction(method)
        or inspect.isasyncgenfunction(method)
    ):
        return method

    async def call(*args: Any, **kwargs: Any) -> Any:
        called = functools.partial(method, *args, **kwargs)
        if turn is None or not turn.exclusive:
            return await executor.run(called)
        token = PATIENCE.set(CLIENT_PATIENCE)
        try:
            return await executor.run(turn.call, what, called)
        finally:
            PATIENCE.reset(token)

    call.__name__ = method.__name__
    call.__doc__ = method.__doc__
    call.__signature__ = inspect.signature(method, eval_str=True)  # type: ignore[attr-defined]
    return call
