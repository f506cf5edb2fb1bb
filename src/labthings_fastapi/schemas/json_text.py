"""What JSON parsers let pass and the standard does not (RFC 8259); pure.

Python's parsers read `NaN`, turn `1e999` into an infinity, and keep the last of two members with
one name. A stage must not move by such a text, so it is refused as malformed.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

_UNUSUAL = re.compile(rb"NaN|Infinity|[eE]\+?\d{3}|\d{200}")
"""Where a number may be none: in most texts this is found nowhere, and no more is done."""
has_unusual_number = _UNUSUAL.search
"""Say whether a text may hold a number that is none."""
_STRINGS = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*(:?)', re.DOTALL)
_LONGEST = 40


def defect(text: bytes) -> str | None:
    """Return what makes a text no JSON although parsers accept it, or None.

    The text of a usual value is searched once and not parsed.
    """
    if has_unusual_number(text) or (text.count(b":") > 1 and _may_repeat_names(text)):
        try:
            json.loads(
                text,
                parse_constant=_not_a_number,
                parse_float=_finite,
                object_pairs_hook=_without_repetition,
            )
        except RecursionError:
            return "it is nested too deeply"
        except ValueError as error:
            return str(error)
    return None


def _may_repeat_names(text: bytes) -> bool:
    names = [name for name, colon in _STRINGS.findall(text) if colon]
    return len(set(names)) < len(names) or any(b"\\" in name for name in names)


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(f'{constant} is no JSON: send the string "{constant}"')


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:_LONGEST]} is larger than any number that can be represented")
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member {name[:_LONGEST]!r} is there twice")
