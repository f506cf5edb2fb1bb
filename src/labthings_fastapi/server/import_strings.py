"""From an import string to a class of Thing."""

from __future__ import annotations

import importlib
from typing import Any

from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.thing import Thing


class ImportStringError(ValueError):
    """An import string leads to no class of Thing; the message says why."""


def import_thing_class(source: Any) -> type[Thing]:
    """Return the class itself, or the one that an import string names."""
    cls: Any = _imported(source) if isinstance(source, str) else source
    if not isinstance(cls, type) or not issubclass(cls, Thing):
        raise ImportStringError(f"{source!r} is not a subclass of lt.Thing")
    return cls


def _imported(source: str) -> Any:
    # pydantic's ImportString and pkgutil.resolve_name hide the error of a module that imports a
    # missing library, and report that the module itself is missing.
    separator = ":" if ":" in source else "."
    module_name, _, class_name = source.strip().rpartition(separator)
    if not module_name or not class_name:
        raise ImportStringError(f"{source!r} must look like 'package.module:Class'")
    try:
        value: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise ImportStringError(
            f"{module_name!r} cannot be imported: {describe_exception(error)}"
        ) from error
    for attribute in class_name.split("."):
        value = getattr(value, attribute, None)
    if value is None:
        raise ImportStringError(f"module {module_name!r} has no class {class_name!r}")
    return value
