"""Errors about values, which name the affordance and the value, and no page of pydantic's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

_LONGEST = 80


class InvalidValueError(ValidationError):
    """A value that a type or a limit excludes; the text names whose value, the value and why."""

    def __str__(self) -> str:
        """Return one line for each error: where, which value, and the limit."""
        listed = self.errors(include_url=False, include_context=False)
        return "\n".join(f"{self.title}: {error_text(error)}" for error in listed)


def not_json(title: str, why: str) -> ValidationError:
    """Return the error for a text that is no JSON."""
    details = InitErrorDetails(type="json_invalid", loc=(), input="", ctx={"error": why})
    return ValidationError.from_exception_data(title, [details], input_type="json")


def named(error: ValidationError, subject: str) -> InvalidValueError:
    """Return the same error about `subject`, as in "Property 'x' of Thing 'stage'"."""
    details = [_details(item) for item in error.errors(include_url=False)]
    found = InvalidValueError.from_exception_data(subject, details)
    assert isinstance(found, InvalidValueError)  # noqa: S101 - of the class that was asked
    return found


def _details(item: Mapping[str, Any]) -> InitErrorDetails:
    text = PydanticCustomError(item["type"], item["msg"].replace("{", "{{").replace("}", "}}"))
    return InitErrorDetails(type=text, loc=item["loc"], input=item["input"])


def error_text(item: Mapping[str, Any]) -> str:
    """Return place, reason and value of one error of pydantic in a line."""
    place = ".".join(map(str, item["loc"]))
    text = f"{place}: {item['msg']}" if place else str(item["msg"])
    if item["type"] in _WITHOUT_VALUE or "input" not in item:
        return text
    return f"{text}, and it is {shown(item['input'])}"


def first_error(error: ValidationError) -> str:
    """Return place and reason of the first error, without its value."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])


_WITHOUT_VALUE = frozenset({"missing", "json_invalid", "extra_forbidden"})


def shown(value: Any) -> str:
    """Return a value for people, shortened; works also if its `__repr__` raises."""
    try:
        text = repr(value)
    except BaseException:  # noqa: BLE001 - `__repr__` may be user code
        return f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
