"""Python values on their way into JSON, where JSON's own types do not suffice; pure.

Here and nowhere else: bytes become base64 (URL-safe alphabet, RFC 4648, section 5), NaN and the
infinities strings, a datetime without a time zone gets that of this machine, and what numpy made
becomes plain numbers and lists.
"""

from __future__ import annotations

import datetime
import sys
import zoneinfo
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

_LEAVES = frozenset({bool, int, float, str, bytes, type(None)})
_NUMBERS = frozenset("biufc")  # kinds of dtypes
_SEQUENCES = (list, tuple, set, frozenset)
_CONTAINERS = frozenset({dict, *_SEQUENCES})


def plain_value(value: Any) -> Any:
    """Return a value without types of numpy, also inside of lists and dictionaries.

    The same object is returned where there are none.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) in _LEAVES:
        return value
    if isinstance(value, numpy.ndarray | numpy.generic):
        return value.tolist()
    return _mapped(value, plain_value)


def _mapped(value: Any, function: Any) -> Any:
    """Apply a function to the members of a builtin container; keep the object if none changes."""
    members = value.values() if type(value) is dict else value
    if type(value) in _CONTAINERS and _LEAVES.issuperset(map(type, members)):
        return value  # the usual case, also of long lists
    if type(value) in _SEQUENCES:
        items = [function(item) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(items)
    if type(value) is dict:
        pairs = [(function(name), function(item)) for name, item in value.items()]
        if all(
            new[0] is old[0] and new[1] is old[1]
            for new, old in zip(pairs, value.items(), strict=True)
        ):
            return value
        return dict(pairs)
    return value


def with_time_zones(value: Any) -> Any:
    """Return a value in which every datetime has an offset; a naive one is of this machine's zone.

    Of a minute that comes twice, at the end of summer time, `fold` says which one is meant.
    """
    if type(value) in _LEAVES:
        return value
    if isinstance(value, datetime.datetime):
        return _aware(value) if value.tzinfo is None else value
    return _mapped(value, with_time_zones)


def _aware(value: datetime.datetime) -> datetime.datetime:
    try:
        return value.astimezone()
    except (OverflowError, ValueError, OSError):  # a year that the operating system does not know
        return value.replace(tzinfo=datetime.UTC)


def to_wire_json(value: Any, *, keep_naive: bool = False) -> bytes:
    """Return builtin types, and those that pydantic knows, as JSON.

    `keep_naive` is for types that promise a time without a zone.

    Raises:
        Exception: a value has no JSON form.
    """
    return to_json(
        value if keep_naive else with_time_zones(value),
        inf_nan_mode="strings",
        bytes_mode="base64",
        fallback=_other,
    )


def _other(value: Any) -> Any:
    plain = plain_value(value)
    if plain is not value:
        # Numbers, where there is nothing to look for, unless it is an array of objects.
        return plain if value.dtype.kind in _NUMBERS else with_time_zones(plain)
    if isinstance(value, Mapping):
        return with_time_zones(dict(value))
    if isinstance(value, zoneinfo.ZoneInfo):
        return str(value)
    raise TypeError(f"{type(value).__name__!r} has no JSON form")
