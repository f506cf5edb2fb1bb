"""Validation of a Thing Description against the JSON schema that the W3C publishes for TD 1.1."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import ThingDescriptionError

from .references import undeclared_names

if TYPE_CHECKING:
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import ValidationError

    from .model import ThingDescription

_SCHEMA_FILE = "td-json-schema-validation.json"
_LONGEST_MESSAGE = 200
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"\\^`|]+")


def validate(td: Any) -> None:
    """Check a document against the W3C's schema, then that every name in it is declared.

    Raises:
        ThingDescriptionError: listing every violation with its path in the document. Undeclared
            names are only searched for in a document that fits the schema.
    """
    violations = _violations(td) or list(undeclared_names(td))
    if violations:
        title = td.get("title") if isinstance(td, Mapping) else None
        lines = "".join(f"\n  {path}: {message}" for path, message in violations)
        raise ThingDescriptionError(f"The Thing Description of {title!r} breaks W3C TD 1.1:{lines}")


def parse(td: Any) -> ThingDescription:
    """Return the checked document as a model; raises as `validate` does."""
    from .model import ThingDescription

    validate(td)
    return ThingDescription.model_validate(td)


@cache
def _validator() -> Draft7Validator:
    # Imported here: only a process that validates needs jsonschema, and its import takes time.
    from jsonschema import Draft7Validator, FormatChecker

    formats = FormatChecker(formats=())
    formats.checks("date-time", raises=ValueError)(_is_date_time)
    formats.checks("uri")(_is_absolute_uri)
    schema = json.loads(resources.files(__package__).joinpath(_SCHEMA_FILE).read_text("utf-8"))
    return Draft7Validator(schema, format_checker=formats)


def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or (
        "T" in value.upper() and datetime.fromisoformat(value) is not None
    )


def _is_absolute_uri(value: object) -> bool:
    return not isinstance(value, str) or _ABSOLUTE_URI.fullmatch(value) is not None


def _violations(td: Any) -> list[tuple[str, str]]:
    """Return the path and the message of each violation of the schema."""
    try:
        json.dumps(td, allow_nan=False)
    except (TypeError, ValueError) as error:
        return [("the document", f"it is not JSON: {error}")]
    errors = (_narrowed(error) for error in _validator().iter_errors(td))
    return sorted((_path(error.absolute_path), _message(error)) for error in errors)


def _narrowed(error: ValidationError) -> ValidationError:
    """Return the error in that alternative of a union which the document probably means."""
    from jsonschema.exceptions import best_match

    # All security schemes have the same shape: only the member `scheme` distinguishes them.
    if "securityDefinitions" in error.absolute_path and error.context:
        alternatives: dict[Any, list[ValidationError]] = {}
        for part in error.context:
            alternatives.setdefault(part.relative_schema_path[0], []).append(part)
        meant = [parts for parts in alternatives.values() if not _rejects_scheme(parts)]
        if not meant:
            return error
        if len(meant) == 1:
            return _narrowed(meant[0][0])
    return best_match([error]) or error


def _rejects_scheme(errors: Iterable[ValidationError]) -> bool:
    return any(
        list(error.relative_path) == ["scheme"] or _rejects_scheme(error.context or ())
        for error in errors
    )


def _path(parts: Iterable[str | int]) -> str:
    """Write a path as `properties.speed.forms[0].op`."""
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "the document"


def _message(error: ValidationError) -> str:
    message = error.message
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}…"
