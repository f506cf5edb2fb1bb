"""What a description says of the class of a Thing: semantic types, and its version; pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from labthings_fastapi.exceptions import DeclarationTypeError

TYPE_PREFIXES = {
    "brick": "https://brickschema.org/schema/Brick#",
    "om": "http://www.ontology-of-units-of-measure.org/resource/om-2/",
    "qudt": "http://qudt.org/schema/qudt/",
    "saref": "https://saref.etsi.org/core/",
    "schema": "https://schema.org/",
    "sosa": "http://www.w3.org/ns/sosa/",
    "ssn": "http://www.w3.org/ns/ssn/",
}
"""The vocabularies of types whose prefixes a description explains."""

_RELEASE = re.compile(r"v?(?:\d+!)?(\d+)(?:\.(\d+))?(?:\.(\d+))?(.*)", re.IGNORECASE)
_PRERELEASE = re.compile(r"[._-]?(a|b|c|rc|alpha|beta|pre|preview|dev)", re.IGNORECASE)


def semantic_types(cls: type) -> tuple[str, ...]:
    """Return the types in `semantic_type` of a class of Thing.

    Raises:
        AffordanceDefinitionError: a type is no text, or its prefix is unknown.
    """
    named: Any = getattr(cls, "semantic_type", None)
    if named is None:
        return ()
    types = (named,) if isinstance(named, str) else named
    where = f"{cls.__name__}.semantic_type"
    if not isinstance(types, Sequence) or not all(isinstance(each, str) and each for each in types):
        raise DeclarationTypeError(
            f"{where}: {named!r} is no type. Use a text such as 'saref:Sensor', or a list of texts."
        )
    for each in types:
        prefix, colon, rest = each.partition(":")
        if colon and prefix not in TYPE_PREFIXES and prefix != "urn" and not rest.startswith("//"):
            raise DeclarationTypeError(
                f"{where}: the prefix of {each!r} is unknown. Write the whole address of the type, "
                f"as 'https://…', or use one of these prefixes: {', '.join(TYPE_PREFIXES)}."
            )
    return tuple(types)


@cache
def class_version(module_name: str) -> str | None:
    """Return the semantic version of the package that a module belongs to; None if it has none."""
    package = module_name.partition(".")[0]
    found: Any = None
    try:
        found = version(package)
    except (PackageNotFoundError, ValueError):
        found = getattr(sys.modules.get(package), "__version__", None)
    return semantic_version(found) if isinstance(found, str) else None


def semantic_version(text: str) -> str | None:
    """Return a version of Python's packages as a semantic version (semver.org 2.0)."""
    found = _RELEASE.fullmatch(text.strip())
    if found is None:
        return None
    numbers = ".".join(str(int(part or 0)) for part in found.groups()[:3])
    rest, _, local = found[4].partition("+")
    marks = _identifiers(rest)
    if not _PRERELEASE.match(rest):
        build = [*marks, *_identifiers(local)]
        return f"{numbers}+{'.'.join(build)}" if build else numbers
    before = ".".join(str(int(mark)) if mark.isdigit() else mark for mark in marks)
    build = _identifiers(local)
    return f"{numbers}-{before}" + (f"+{'.'.join(build)}" if build else "")


def _identifiers(text: str) -> list[str]:
    return re.findall(r"[0-9A-Za-z]+", text)
