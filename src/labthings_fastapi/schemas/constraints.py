"""Which constraints fit which types, so that a wrong one is found when a class is made.

pydantic accepts most constraints on most types, and fails at the first value: perhaps in the
middle of a hardware action.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import numbers
import re
import types
from collections.abc import Iterator, Mapping, Set
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from pydantic import BaseModel, Field

from labthings_fastapi.exceptions import UnsupportedConstraintError

from .patterns import portable
from .wire_values import plain_value

# A type checker does not accept `Union[...]` of values.
_UNION: Any = Union

_ORDER = frozenset({"gt", "ge", "lt", "le"})
_NUMBER = _ORDER | {"multiple_of", "allow_inf_nan"}
_LENGTH = frozenset({"min_length", "max_length"})
_NOTHING: frozenset[str] = frozenset()
_RANGES = (("gt", "lt"), ("gt", "le"), ("ge", "lt"), ("ge", "le"))
_TIMES = (datetime.date, datetime.datetime, datetime.time, datetime.timedelta)

CONSTRAINTS = _NUMBER | _LENGTH | {"pattern"}

_FITTING: Mapping[Any, frozenset[str]] = {
    **dict.fromkeys((Any, None, bool, complex, types.NoneType, Literal), _NOTHING),
    **dict.fromkeys((int, float, decimal.Decimal, fractions.Fraction), _NUMBER),
    **dict.fromkeys(_TIMES, _ORDER),
    str: _LENGTH | {"pattern"},
    **dict.fromkeys(
        (
            bytes,
            bytearray,
            list,
            tuple,
            set,
            frozenset,
            dict,
            collections.deque,
            collections.defaultdict,
            collections.OrderedDict,
            collections.Counter,
            collections.abc.Sequence,
            collections.abc.MutableSequence,
            collections.abc.Set,
            collections.abc.MutableSet,
            collections.abc.Mapping,
            collections.abc.MutableMapping,
        ),
        _LENGTH,
    ),
}


def check_known(constraints: Mapping[str, Any], where: str) -> None:
    """Refuse an unknown constraint, or one that no value could keep, whatever the type.

    Raises:
        UnsupportedConstraintError: naming `where`.
    """
    for name in constraints:
        if name not in CONSTRAINTS:
            raise UnsupportedConstraintError(
                f"{where}: there is no constraint {name!r}."
                f" Constraints are: {', '.join(sorted(CONSTRAINTS))}."
            )
    for text in _impossible(constraints):
        raise UnsupportedConstraintError(f"{where}: {text}.")


def _impossible(constraints: Mapping[str, Any]) -> Iterator[str]:
    for name, value in constraints.items():
        if value is None:
            continue
        if name in _NUMBER - {"allow_inf_nan"} and not _is_limit(value, name):
            positive = " above 0" if name == "multiple_of" else ""
            yield f"{name}={value!r} is no limit. Use a number{positive} (or, for times, a time)"
        elif name in _LENGTH and (type(value) is not int or value < 0):
            yield f"{name}={value!r} is no length. Use a whole number from 0 on"
        elif name == "allow_inf_nan" and not isinstance(value, bool):
            yield f"allow_inf_nan={value!r} must be True or False"
        elif name == "pattern" and not isinstance(value, str | re.Pattern):
            yield f"pattern={value!r} is no regular expression"
    for least, most in (("min_length", "max_length"), *_RANGES):
        low, high = constraints.get(least), constraints.get(most)
        if low is not None and high is not None and _excludes(low, high, least, most):
            yield f"no value is allowed by both {least}={low!r} and {most}={high!r}"


def _is_limit(value: Any, name: str) -> bool:
    if name == "multiple_of":
        return _is_number(value) and value > 0
    return _is_number(value) or isinstance(value, _TIMES)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, numbers.Number | decimal.Decimal) and not isinstance(value, bool)
    return is_number and not isinstance(value, complex) and not math.isnan(value)


def _excludes(low: Any, high: Any, least: str, most: str) -> bool:
    try:
        return bool(low > high or (low == high and (least == "gt" or most == "lt")))
    except TypeError:  # such as a date and a number
        return True


def constrained(hint: Any, constraints: Mapping[str, Any], where: str) -> Any:
    """Return the type with its constraints; in a union, each applies to the types that it fits.

    Raises:
        UnsupportedConstraintError: a constraint fits no part of the type; the error names `where`.
    """
    check_known(constraints, where)
    unfitting = set(constraints) - _fitting(hint)
    if unfitting:
        raise UnsupportedConstraintError(
            f"{where}: the constraint {min(unfitting)!r} does not fit the type {hint!r}."
            " Remove the constraint, or use a type that it fits."
        )
    return _applied(hint, _readable(constraints, where)) if constraints else hint


def _readable(constraints: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return constraints of builtin types, with a pattern that clients and we read alike."""
    found = {name: plain_value(value) for name, value in constraints.items()}
    if isinstance(found.get("pattern"), str):
        try:
            found["pattern"] = portable(found["pattern"])
        except ValueError as error:
            raise UnsupportedConstraintError(f"{where}: {error}") from error
    return found


def _applied(hint: Any, constraints: Mapping[str, Any]) -> Any:
    bare: Any
    base, metadata = _split(hint)
    if _is_union(base):
        bare = _UNION[tuple(_applied(member, constraints) for member in get_args(base))]
    else:
        fitting = _fitting(base)
        applied = {name: value for name, value in constraints.items() if name in fitting}
        if base is int:
            applied.pop("allow_inf_nan", None)  # no int is infinite, and pydantic's check is slow
        bare = Annotated[base, Field(**applied)] if applied else base
    return Annotated[(bare, *metadata)] if metadata else bare


def _fitting(hint: Any) -> Set[str]:
    base, _ = _split(hint)
    if _is_union(base):
        return frozenset().union(*(_fitting(member) for member in get_args(base)))
    kind = get_origin(base) or base
    if isinstance(kind, type) and (
        issubclass(kind, BaseModel | enum.Enum) or dataclasses.is_dataclass(kind)
    ):
        return _NOTHING
    # Types of other libraries have a schema of their own, so pydantic decides.
    return _FITTING.get(kind, CONSTRAINTS)


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type behind aliases and `Annotated`, and its metadata."""
    if isinstance(hint, NewType):
        return _split(hint.__supertype__)
    if type(hint).__name__ == "TypeAliasType":
        return _split(hint.__value__)
    if get_origin(hint) is Annotated:
        base, metadata = _split(hint.__origin__)
        return base, metadata + hint.__metadata__
    return hint, ()


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)
