"""What the OpenAPI document says of answers: those that are good, and once, all that go wrong."""

from __future__ import annotations

from typing import Any

from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE

Json = dict[str, Any]
METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
_HTTP_ERROR = "HTTPValidationError"  # FastAPI's own form of a 422, which is never sent here

_TEXTS = {
    "400": "The request cannot be read",
    "401": "Who asks is not known",
    "403": "Who asks may not do this, or the request comes from another site's page",
    "404": "There is no such thing here",
    "405": "What is here cannot be written",
    "406": "What is here cannot be followed",
    "409": "Busy, locked, or already finished",
    "413": "The body is too large",
    "415": "The body is not called JSON",
    "421": "The server is not known by this host name",
    "422": "A value is not valid; `errors` lists what is wrong and where",
    "431": "The headers are too large",
    "500": "The code of the Thing failed",
    "503": "Too much at once, not ready, or not connected",
    "507": "No space is left to store this",
}
_HEADERS = {
    "401": ("WWW-Authenticate", {"type": "string"}),
    "405": ("Allow", {"type": "string"}),
    "503": ("Retry-After", {"type": "integer", "minimum": 0}),
}
_ANY = ("400", "401", "403", "413", "421", "431", "500", "503")
"""What the server may answer before it looks at what is asked, or when code of a Thing fails."""
WRITING = ("409", "415", "422", "507")
"""What else may go wrong where a value or an input is sent."""

NOT_MODIFIED: Json = {"description": "The client has it already, as `If-None-Match` says"}
PROBLEM_SCHEMA: Json = {
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
}


def content(text: str, schema: Json, media_type: str = "application/json") -> Json:
    """Describe an answer that has a body."""
    return {"description": text, "content": {media_type: {"schema": schema}}}


def problem(code: str) -> Json:
    """Refer to the description of what goes wrong with this status."""
    return {"$ref": f"#/components/responses/Problem{code}"}


def answers(good: Json, *codes: str) -> Json:
    """Describe all answers of an operation, but for the problems that any operation may have."""
    return good | {code: problem(code) for code in codes}


def say_what_goes_wrong(document: Json) -> None:
    """Describe every problem once, and name those that any operation may have at each.

    What an operation says of its own problems stays, also what a user's endpoint says.
    """
    described = document["components"].setdefault("responses", {})
    for code in _TEXTS:
        described[f"Problem{code}"] = _described(code)
    for item in document["paths"].values():
        for method in METHODS & item.keys():
            found: Json = item[method]["responses"]
            for code, answer in found.items():
                if code >= "400" and "$ref" not in answer and _is_fastapis(answer):
                    answer["content"] = {PROBLEM_MEDIA_TYPE: {"schema": PROBLEM_REF}}
            for code in _ANY:
                found.setdefault(code, problem(code))
            item[method]["responses"] = dict(sorted(found.items()))
    for unused in (_HTTP_ERROR, "ValidationError"):
        document["components"]["schemas"].pop(unused, None)


def _described(code: str) -> Json:
    answer = content(_TEXTS[code], PROBLEM_REF, PROBLEM_MEDIA_TYPE)
    if code in _HEADERS:
        name, schema = _HEADERS[code]
        answer["headers"] = {name: {"schema": schema}}
    return answer


def _is_fastapis(answer: Json) -> bool:
    """Whether an error has no body described, or FastAPI's own, which is never sent here."""
    return _HTTP_ERROR in str(answer.get("content", _HTTP_ERROR))
