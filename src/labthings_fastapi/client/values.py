"""Values on their way to and from a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json


def _other(value: Any) -> Any:
    # numpy arrays and scalars, pandas series, torch tensors
    as_list = getattr(value, "tolist", None)
    if callable(as_list):
        return as_list()
    raise TypeError(f"a value of type {type(value).__name__!r} cannot be sent as JSON")


def to_body(value: Any) -> bytes:
    """Write a value as JSON: NaN and infinities as texts, bytes in base64, arrays as lists.

    Raises:
        TypeError: it has no JSON form.
    """
    try:
        return to_json(value, inf_nan_mode="strings", bytes_mode="base64", fallback=_other)
    except ValueError as error:  # pydantic wraps the errors of the fallback
        raise TypeError(str(error)) from error


def input_names(schema: Mapping[str, Any] | None) -> list[str]:
    """Return the names of the members of an action's input: those without a default first."""
    properties = (schema or {}).get("properties")
    if not isinstance(properties, Mapping):
        return []
    required = (schema or {}).get("required") or ()
    return sorted(map(str, properties), key=lambda name: name not in required)


def takes_object(schema: Mapping[str, Any] | None) -> bool:
    """Whether the input is a JSON object, whose members are the arguments."""
    if not schema:
        return True
    return schema.get("type") == "object" or "properties" in schema


def input_of(
    action: str, schema: Mapping[str, Any] | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Return the input of an action for these arguments.

    Raises:
        TypeError: too many or doubled arguments, as Python itself would say.
    """
    if not takes_object(schema):
        if kwargs or len(args) > 1:
            raise TypeError(f"{action}() takes one positional argument, the input itself")
        return args[0] if args else None
    names = input_names(schema)
    if len(args) > len(names):
        raise TypeError(
            f"{action}() takes at most {len(names)} positional arguments, but {len(args)} were "
            f"given. It takes: {', '.join(names) or 'nothing'}."
        )
    given = dict(zip(names, args, strict=False))
    doubled = given.keys() & kwargs.keys()
    if doubled:
        raise TypeError(f"{action}() got multiple values for argument {min(doubled)!r}")
    return given | dict(kwargs)
