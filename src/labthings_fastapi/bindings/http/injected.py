"""Real FastAPI routes, for what only FastAPI can do: injected dependencies and user endpoints."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from labthings_fastapi.actions.cancellation import CancelEvent
from labthings_fastapi.actions.rendering import Place
from labthings_fastapi.routes import ProblemRoute, problem_response

from .action_resources import answer_to

if TYPE_CHECKING:
    from fastapi import FastAPI

    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.descriptors.endpoint import EndpointDescriptor
    from labthings_fastapi.thing import Thing

_REQUEST = "labthings_request"
_INPUT = "labthings_input"


def add_action_route(
    app: FastAPI,
    thing: Thing,
    action: ActionDescriptor[Any, Any, Any],
    manager: ActionManager,
    prefix: str,
) -> None:
    """Add a POST route whose dependencies FastAPI resolves and hands to the action."""

    async def start_action(**values: Any) -> Response:
        request: Request = values.pop(_REQUEST)
        given = values.pop(_INPUT)
        id, hook = _run_handles(values)
        run = manager.invoke_action(
            action,
            thing,
            id=id,
            input=given if given is not None else action.input_model(),
            dependencies=values,
            cancel_hook=hook,
        )
        place = Place(str(request.base_url).rstrip("/"), prefix)
        answer = await answer_to(run, action, place, request.headers.get("prefer"))
        if answer.problem is not None:
            return problem_response(answer.problem)
        return Response(
            answer.body,
            status_code=answer.status,
            headers=answer.headers,
            media_type="application/json" if answer.body else None,
        )

    start_action.__signature__ = _signature(action)  # type: ignore[attr-defined]
    router = APIRouter(route_class=ProblemRoute)
    router.add_api_route(
        f"{thing.path}{action.name}",
        start_action,
        methods=["POST"],
        name=f"{thing.name}.{action.name}",
        # The OpenAPI document describes all actions in one way, from their descriptors.
        include_in_schema=False,
    )
    app.include_router(router)


def _run_handles(values: dict[str, Any]) -> tuple[UUID | None, CancelEvent | None]:
    """Find the id and the cancel hook of the run among what was injected."""
    hook = next((value for value in values.values() if isinstance(value, CancelEvent)), None)
    if hook is not None and hook.id is not None:
        return hook.id, hook
    return next((value for value in values.values() if isinstance(value, UUID)), None), hook


def _signature(action: ActionDescriptor[Any, Any, Any]) -> inspect.Signature:
    keyword = inspect.Parameter.KEYWORD_ONLY
    body: Any = Annotated[action.input_model | None, Body()]
    own = [
        inspect.Parameter(_REQUEST, keyword, annotation=Request),
        inspect.Parameter(
            _INPUT,
            keyword,
            annotation=body if not action.requires_input else Annotated[action.input_model, Body()],
            default=inspect.Parameter.empty if action.requires_input else None,
        ),
    ]
    injected = [parameter.replace(kind=keyword) for parameter in action.dependency_params.values()]
    return inspect.Signature(own + injected)


def add_endpoint_route(app: FastAPI, thing: Thing, endpoint: EndpointDescriptor) -> None:
    """Add a user's endpoint, bound to its Thing."""
    bound = endpoint.__get__(thing)
    router = APIRouter(route_class=ProblemRoute, tags=[thing.name])
    router.add_api_route(
        f"{thing.path}{endpoint.path}",
        _plain(bound),
        methods=[endpoint.http_method.upper()],
        **{
            "name": f"{thing.name}.{endpoint.name}",
            "summary": endpoint.title,
            "description": endpoint.description,
            **endpoint.kwargs,
        },
    )
    app.include_router(router)


def _plain(bound: Any) -> Any:
    """Wrap a bound method, so that several Things of one class have endpoints of their own."""
    signature = inspect.signature(bound, eval_str=True)
    call: Any
    if inspect.iscoroutinefunction(bound):

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await bound(*args, **kwargs)
    else:

        def call(*args: Any, **kwargs: Any) -> Any:
            return bound(*args, **kwargs)

    functools.update_wrapper(call, bound)
    call.__signature__ = signature
    return call
