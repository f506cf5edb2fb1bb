"""The route class of all routes that this package adds to a FastAPI app.

It turns errors into problem details, so an app of the user keeps its own exception handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.encoders import jsonable_encoder
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
        """Wrap FastAPI's handler, whose errors would go to the exception handlers of the app."""
        handle = super().get_route_handler()
        # A form may be large, because its files go to the disk. Where FastAPI expects another body,
        # it would read the form into memory before it refuses it.
        field = self.body_field
        takes_forms = field is None or isinstance(field.field_info, Form)

        async def answer(request: Request) -> Response:
            try:
                if not takes_forms and is_form(request.headers.get("content-type", "")):
                    raise UnsupportedMediaTypeError(
                        f"{request.method} {request.url.path} takes no form: send the body with "
                        "its own `Content-Type`, application/json for example."
                    )
                return await handle(request)
            except (LabThingsError, RequestValidationError, HTTPException) as error:
                return problem_response(problem_of(error, request.url.path))

        return answer


def is_form(content_type: str) -> bool:
    """Return True for a form that may have files (RFC 7578)."""
    return content_type.lower().startswith("multipart/form-data")


def problem_of(error: Exception, instance: str) -> Problem:
    """Return the problem for an error that a route raised."""
    if isinstance(error, RequestValidationError):
        errors = list(error.errors())
        if any(item["type"] == "json_invalid" for item in errors):
            reason = f"The body is not valid JSON: {errors[0]['ctx']['error']}"
            return problem_for_status(400, reason, instance=instance)
        return validation_problem(errors, "The request is not valid", instance=instance)
    if isinstance(error, HTTPException):
        detail: Any = error.detail  # FastAPI's own subclass takes anything here
        return problem_for_status(
            error.status_code,
            detail if isinstance(detail, str) else jsonable_encoder(detail),
            instance=instance,
            headers=dict(error.headers or {}),
        )
    return problem_from(error, instance=instance)


def problem_response(problem: Problem) -> Response:
    """Return a problem as a response."""
    return Response(
        problem.body(),
        status_code=problem.status,
        headers=problem.headers,
        media_type=PROBLEM_MEDIA_TYPE,
    )
