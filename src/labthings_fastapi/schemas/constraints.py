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
import types
from collections.abc import Mapping, Set
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from pydantic import BaseModel, Field

from labthings_fastapi.exceptions import AffordanceDefinitionError

from .patterns import portable
from .wire_values import plain_value

# A type checker does not accept `Union[...]` of values.
_UNION: Any = Union

_ORDER = frozenset({"gt", "ge", "lt", "le"})
_NUMBER = _ORDER | {"multiple_of", "allow_inf_nan"}
_LENGTH = frozenset({"min_length", "max_length"})
_NOTHING: frozenset[str] = frozenset()

CONSTRAINTS = _NUMBER | _LENGTH | {"pattern"}

_FITTING: Mapping[Any, frozenset[str]] = {
    **dict.fromkeys((Any, None, bool, complex, types.NoneType, Literal), _NOTHING),
    **dict.fromkeys((int, float, decimal.Decimal, fractions.Fraction), _NUMBER),
    **dict.fromkeys((datetime.date, datetime.datetime, datetime.time, datetime.timedelta), _ORDER),
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
    """Refuse an unknown constraint, whatever the type.

    Raises:
        AffordanceDefinitionError: naming `where`.
    """
    for name in constraints:
        if name not in CONSTRAINTS:
            raise AffordanceDefinitionError(
                f"{where}: there is no constraint {name!r}."
                f" Constraints are: {', '.join(sorted(CONSTRAINTS))}."
            )


def constrained(hint: Any, constraints: Mapping[str, Any], where: str) -> Any:
    """Return the type with its constraints; in a union, each applies to the types that it fits.

    Raises:
        AffordanceDefinitionError: a constraint fits no part of the type; the error names `where`.
    """
    check_known(constraints, where)
    unfitting = set(constraints) - _fitting(hint)
    if unfitting:
        raise AffordanceDefinitionError(
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
            raise AffordanceDefinitionError(f"{where}: {error}") from error
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
