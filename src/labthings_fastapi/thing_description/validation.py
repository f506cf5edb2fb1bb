"""Whether a document is a Thing Description of W3C TD 1.1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from labthings_fastapi.exceptions import ThingDescriptionError

from .model import ThingDescription
from .references import Violation, undeclared_names
from .security_model import TAGS
from .vocabulary import MANY, ONE

_INVISIBLE = TAGS | {ONE, MANY, "[key]"}


def validate(td: Mapping[str, Any]) -> None:
    """Check a document against the standard.

    Raises:
        ThingDescriptionError: listing every violation by its path. Whether names are declared is
            looked at once the rest is right.
    """
    parse(td)


def parse(td: Mapping[str, Any]) -> ThingDescription:
    """Return the checked document as a model; raises as `validate` does."""
    try:
        parsed = ThingDescription.model_validate(td)
    except ValidationError as error:
        raise _error(td, [_violation(item) for item in error.errors()]) from error
    undeclared = list(undeclared_names(parsed))
    if undeclared:
        raise _error(td, undeclared)
    return parsed


def _violation(item: Mapping[str, Any]) -> Violation:
    message = str(item["msg"]).removeprefix("Value error, ")
    found = repr(item["input"])
    if item["type"] != "missing" and len(found) <= 60:
        message = f"{message} (found {found})"
    return Violation(_path(item["loc"]), message)


def _path(location: Iterable[str | int]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _INVISIBLE:
            path += f".{part}" if path else part
    return path or "the document"


def _error(td: Any, violations: Iterable[Violation]) -> ThingDescriptionError:
    title = td.get("title") if isinstance(td, Mapping) else None
    lines = "".join(f"\n  {violation.path}: {violation.message}" for violation in violations)
    return ThingDescriptionError(f"The Thing Description of {title!r} breaks W3C TD 1.1:{lines}")
