r"""The texts in which values travel that have no JSON type of their own; pure.

Each pattern accepts what pydantic reads, in the part that all dialects of regular expressions read
alike. JSON Schema's `format` alone is not enough: most validators do not check it.
"""

from __future__ import annotations

import math
from typing import Any


def _braced(expression: str) -> str:
    """Return an expression for `str.format`."""
    return expression.replace("{", "{{").replace("}", "}}")


_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
_OFFSET = r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_HEX = "[0-9A-Fa-f]"
_NUMBER = r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?"
_PART = f"({_NUMBER}|inf|nan|NaN)"

FORMATS = {
    "date-time": f"^{_DATE}[Tt]{_CLOCK}{_OFFSET}$",
    "date": f"^{_DATE}$",
    "uuid": f"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}$",
}
"""What a text with one of these formats looks like."""

NAIVE_DATE_TIME = f"^{_DATE}T{_CLOCK}$"
AWARE_TIME = f"^{_CLOCK}{_OFFSET}$"
TIME = f"^{_CLOCK}{_OFFSET}?$"
DECIMAL = "^{sign}" + _braced(_NUMBER) + "$"
"""A decimal number; `format` it with its `sign`."""

COMPLEX = f"^[+-]?{_PART}$|^[+-]?{_PART}?j$|^[+-]?{_PART}[+-]{_PART}?j$"
COMPLEX_OR_NOT_FINITE = f"{COMPLEX}|^-?Infinity$"
INTEGER_NAME = "^(-?[1-9][0-9]*|0)$"
NATURAL_NAME = "^([1-9][0-9]*|0)$"
FLOAT_NAME = f"^(-?{_NUMBER}|NaN|-?Infinity)$"

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The strings in which floats travel that are no JSON numbers."""


def _in_order(*parts: str) -> str:
    """Return an expression for some of the parts, at least one, in this order."""
    rest = [f"({part})?" for part in parts]
    return "|".join(part + "".join(rest[index + 1 :]) for index, part in enumerate(parts))


_DAYS = _in_order(*(f"[0-9]{{1,6}}{unit}" for unit in "YMWD"))
_HOURS = _in_order("[0-9]{1,9}H", "[0-9]{1,9}M", r"[0-9]{1,9}(\.[0-9]{1,6})?S")
DURATION = "^{sign}" + _braced(f"P(({_DAYS})(T({_HOURS}))?|T({_HOURS}))") + "$"
"""As ISO 8601 has it, with a sign; `format` it with its `sign`."""

_MOST_EXACT_BYTES = 300


def base64_text(shortest: int = 0, longest: int | None = None) -> dict[str, Any]:
    """Return the schema of bytes in base64, in either alphabet (RFC 4648), by their number."""
    schema: dict[str, Any] = {"type": "string", "contentEncoding": "base64url"}
    if longest is None or longest > _MOST_EXACT_BYTES or shortest > _MOST_EXACT_BYTES:
        # A pattern with so many repetitions costs too much: the number is checked as it is read.
        return schema | {"pattern": _base64("*", "*", "*")}
    repetitions = (_repetitions(shortest - rest, longest - rest) for rest in range(3))
    return schema | {"pattern": _base64(*repetitions)}


def _repetitions(least: int, most: int) -> str | None:
    """Return how often three bytes may come, for a number of bytes in whole threes."""
    low, high = max(0, -(-least // 3)), most // 3
    return f"{{{low},{high}}}" if low <= high else None


def _base64(*repetitions: str | None) -> str:
    tails = ("", "{any}[AQgw](==)?", "{any}{{2}}[AEIMQUYcgkosw048]=?")
    forms = []
    for alphabet in ("[A-Za-z0-9_-]", "[A-Za-z0-9+/]"):
        for repetition, tail in zip(repetitions, tails, strict=True):
            if repetition is not None:
                forms.append(f"({alphabet}{{4}}){repetition}{tail.format(any=alphabet)}")
    return "^(" + "|".join(forms) + ")$" if forms else "^[^ -~]$"
