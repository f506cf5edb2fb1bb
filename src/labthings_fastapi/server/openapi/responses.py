"""The parts of the OpenAPI document that operations share: schemas, responses and problems."""

from __future__ import annotations

from typing import Any

from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE
from labthings_fastapi.schemas.values import ValueSchema

Json = dict[str, Any]
METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
_SCHEMAS = "#/components/schemas/"
PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
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
    "431": "The headers are too large",
    "500": "The code of the Thing failed",
    "503": "Overloaded, not ready, or not connected",
    "507": "No space is left to store this",
}
_HEADERS = {
    "401": ("WWW-Authenticate", {"type": "string"}),
    "405": ("Allow", {"type": "string"}),
    "503": ("Retry-After", {"type": "integer", "minimum": 0}),
}
_ANY = ("400", "401", "403", "413", "421", "431", "500", "503")
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
    },
    "required": ["type", "title", "status", "detail"],
}


def content(text: str, schema: Json, media_type: str = "application/json") -> Json:
    return {"description": text, "content": {media_type: {"schema": schema}}}


def _ref(code: str) -> Json:
    return {"$ref": f"#/components/responses/Problem{code}"}


def answers(good: Json, *codes: str) -> Json:
    return good | {code: _ref(code) for code in codes}


def add_problems(document: Json) -> None:
    """Describe every problem once, and refer to those of every operation at each operation."""
    problems = document["components"].setdefault("responses", {})
    for code in _TEXTS:
        problems[f"Problem{code}"] = _problem(code)
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


def _problem(code: str) -> Json:
    answer = content(_TEXTS[code], PROBLEM_REF, PROBLEM_MEDIA_TYPE)
    if code in _HEADERS:
        name, schema = _HEADERS[code]
        answer["headers"] = {name: {"schema": schema}}
    return answer


def _is_fastapis(answer: Json) -> bool:
    """Return True if an error has no body described, or the form of FastAPI, which is not sent."""
    return _HTTP_ERROR in str(answer.get("content", _HTTP_ERROR))


def parameter(name: str, place: str, schema: Json, **more: Any) -> Json:
    return {"name": name, "in": place, "schema": schema, **more}


LAST_EVENT_ID = parameter(
    "Last-Event-ID", "header", {"type": "string"}, description="Begin after this event."
)
_OBSERVE = parameter(
    "observe",
    "query",
    {"type": "string", "enum": ["longpoll"]},
    description="Wait for the next value, a minute at most.",
)


def with_following(operation: Json) -> Json:
    operation["parameters"] = [*operation.get("parameters", ()), _OBSERVE, LAST_EVENT_ID]
    content_types = operation["responses"]["200"]["content"]
    content_types["text/event-stream"] = {"schema": {"type": "string"}}
    operation["responses"]["204"] = {"description": "Nothing happened while the request waited"}
    return operation


class Components:
    """The named schemas of the document; a name that is taken gets a number."""

    def __init__(self, schemas: Json) -> None:
        self._schemas = schemas

    def schema(self, values: ValueSchema[Any], mode: Any) -> Json:
        """Return the JSON Schema of a type, and add the schemas to which it refers."""
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
