"""Python signatures and texts for the actions and properties of a description."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Mapping
from typing import Any, Literal

from labthings_fastapi.thing_description.units import unit_text

from .arrays import array_schema
from .values import input_names, takes_object

_TYPES: dict[str, Any] = {
    "number": float,
    "integer": int,
    "string": str,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": None,
}


def type_of(schema: Any) -> Any:
    """Return the Python type that a data schema comes closest to; `Any` if it is not one."""
    if not isinstance(schema, Mapping):
        return Any
    values = schema.get("enum")
    if isinstance(values, list) and values and all(isinstance(v, str | int) for v in values):
        return Literal[tuple(values)]
    branches = schema.get("oneOf")
    if array_schema(schema) is not None:
        return list  # or an array of numpy, which need not be there
    if isinstance(branches, list) and branches:
        types = [type_of(branch) for branch in branches if not _is_nan(branch)]
        if Any in types or not types:
            return Any
        found = types[0]
        for each in types[1:]:
            found = found | each
        return found
    kind = schema.get("type")
    return _TYPES.get(kind, Any) if isinstance(kind, str) else Any


def _is_nan(branch: Any) -> bool:
    values = branch.get("enum") if isinstance(branch, Mapping) else None
    return isinstance(values, list) and {"Infinity"} <= set(map(str, values)) <= {
        "NaN",
        "Infinity",
        "-Infinity",
    }


def signature_of(action: Mapping[str, Any]) -> inspect.Signature:
    """Return the signature of an action, without `self`."""
    schema = action.get("input")
    parameters: list[inspect.Parameter] = []
    if isinstance(schema, Mapping) and takes_object(schema):
        parameters = [_parameter(name, schema) for name in input_names(schema) if _is_name(name)]
        if schema.get("additionalProperties", False) not in (False, None):
            parameters.append(inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD))
    elif isinstance(schema, Mapping):
        kind = inspect.Parameter.POSITIONAL_ONLY
        parameters = [inspect.Parameter("input", kind, annotation=type_of(schema))]
    return inspect.Signature(parameters, return_annotation=type_of(action.get("output")))


def _is_name(name: str) -> bool:
    # Another one can still be given, as `**{name: value}`.
    return name.isidentifier() and not keyword.iskeyword(name)


def _parameter(name: str, schema: Mapping[str, Any]) -> inspect.Parameter:
    member = schema["properties"][name]
    default: Any = inspect.Parameter.empty
    if name not in (schema.get("required") or ()):
        default = member.get("default") if isinstance(member, Mapping) else None
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=default,
        annotation=type_of(member),
    )


def action_text(name: str, action: Mapping[str, Any]) -> str:
    """Return the docstring of an action's method."""
    head = _head(name, action)
    for section in ("\n\nArgs:", "\n\nReturns:"):  # follow below, with limits and units
        head = head.partition(section)[0]
    lines = [head]
    schema = action.get("input")
    members = schema.get("properties") if isinstance(schema, Mapping) else None
    if isinstance(members, Mapping) and members:
        lines += ["", "Args:"]
        lines += [f"    {each}: {_about(found)}" for each, found in members.items()]
    output = action.get("output")
    if isinstance(output, Mapping) and _about(output):
        lines += ["", "Returns:", f"    {_about(output)}"]
    return "\n".join(lines)


def property_text(name: str, schema: Mapping[str, Any]) -> str:
    """Return the docstring of a property."""
    about = _about({**schema, "description": "", "title": ""})
    access = "read-only" if schema.get("readOnly") else ""
    remarks = ", ".join(each for each in (about, access) if each)
    return f"{_head(name, schema)}{f' ({remarks})' if remarks else ''}"


def _head(name: str, affordance: Mapping[str, Any]) -> str:
    title, text = str(affordance.get("title") or name), str(affordance.get("description") or "")
    if not text or text.strip().rstrip(".") == title.strip().rstrip("."):
        return title
    return text if text.startswith(title) else f"{title}\n\n{text}"


def _about(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return ""
    limits = [
        f"{sign} {schema[key]:g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if isinstance(schema.get(key), int | float)
    ]
    parts = [str(schema.get("description") or schema.get("title") or "")]
    if unit := unit_text(schema):
        parts.append(f"in {unit}")
    return ", ".join(each for each in (*parts, *limits) if each)
