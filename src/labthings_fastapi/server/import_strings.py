"""From an import string to a class of Thing."""

from __future__ import annotations

import importlib
from typing import Any

from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.thing import Thing


class ImportMistakeError(ValueError):
    """What a configuration names is no class of Thing."""


def import_thing_class(source: Any) -> type[Thing]:
    """Return the class that a configuration gives, or names as `package.module:Class`.

    Raises:
        ImportMistakeError: saying what stands in the way.
    """
    found: Any = _imported(source) if isinstance(source, str) else source
    if not isinstance(found, type) or not issubclass(found, Thing):
        raise ImportMistakeError(f"{source!r} is not a subclass of lt.Thing")
    return found


def _imported(source: str) -> Any:
    module_name, _, class_name = source.partition(":")
    if not module_name or not class_name:
        raise ImportMistakeError(f"{source!r} must look like 'package.module:Class'")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may do anything while it is imported
        raise ImportMistakeError(
            f"{module_name!r} cannot be imported: {describe_exception(error)}"
        ) from error
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise ImportMistakeError(f"module {module_name!r} has no class {class_name!r}")
    return found
