"""The route class of everything that this package adds to a FastAPI app.

Errors become problem details here, so an app that we are attached to keeps its own handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from labthings_fastapi.exceptions import LabThingsError, UnsupportedMediaTypeError
from labthings_fastapi.problems import (
    PROBLEM_MEDIA_TYPE,
    Problem,
    problem_for_status,
    problem_from,
    validation_problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class ProblemRoute(APIRoute):
    """A route whose errors are `application/problem+json` (RFC 9457)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler, which raises what the app's handlers would render."""
        handle = super().get_route_handler()
        # Files in a form may be large, because they go to the disk. FastAPI would read a form into
        # memory where it expects something else, only to find that out.
        field = self.body_field
        takes_forms = field is None or isinstance(field.field_info, Form)

        async def answer(request: Request) -> Response:
            try:
                if not takes_forms and is_form(request.headers.get("content-type", "")):
                    raise UnsupportedMediaTypeError(
                        f"{request.method} {request.url.path} takes no form: send the body as "
                        "what it is, JSON for example, with its own `Content-Type`."
                    )
                return await handle(request)
            except (LabThingsError, RequestValidationError, HTTPException) as error:
                return problem_response(problem_of(error, request.url.path))

        return answer


def is_form(content_type: str) -> bool:
    """Whether a body is a form that may hold files (RFC 7578)."""
    return content_type.lower().startswith("multipart/form-data")


def problem_of(error: Exception, instance: str) -> Problem:
    """Render what a route raised."""
    if isinstance(error, RequestValidationError):
        found = list(error.errors())
        if any(item["type"] == "json_invalid" for item in found):
            reason = f"The body is not valid JSON: {found[0]['ctx']['error']}"
            return problem_for_status(400, reason, instance=instance)
        return validation_problem(found, "The request is not valid", instance=instance)
    if isinstance(error, HTTPException):
        detail: Any = error.detail  # FastAPI's own subclass takes anything here
        return problem_for_status(
            error.status_code,
            detail if isinstance(detail, str) else None,
            instance=instance,
            headers=dict(error.headers or {}),
        )
    return problem_from(error, instance=instance)


def problem_response(problem: Problem) -> Response:
    """Turn a problem into an HTTP answer."""
    return Response(
        problem.body(),
        status_code=problem.status,
        headers=problem.headers,
        media_type=PROBLEM_MEDIA_TYPE,
    )
