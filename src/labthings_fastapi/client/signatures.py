"""Python signatures and texts for the actions and properties of a description."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal

from .values import takes_object

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
    parameters = []
    if isinstance(schema, Mapping) and takes_object(schema):
        required = schema.get("required", ())
        found = schema.get("properties")
        for name, each in (found if isinstance(found, Mapping) else {}).items():
            if not str(name).isidentifier():
                continue  # it can be given as `**{name: value}`
            needed = name in required
            default = inspect.Parameter.empty
            if not needed:
                default = each.get("default") if isinstance(each, Mapping) else None
            parameters.append(
                inspect.Parameter(
                    str(name),
                    inspect.Parameter.POSITIONAL_OR_KEYWORD
                    if needed or all(p.default is not p.empty or True for p in parameters)
                    else inspect.Parameter.KEYWORD_ONLY,
                    default=default,
                    annotation=type_of(each),
                )
            )
        parameters.sort(key=lambda each: each.default is not each.empty)
        if schema.get("additionalProperties", False) not in (False, None):
            parameters.append(inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD))
    elif isinstance(schema, Mapping):
        parameters.append(
            inspect.Parameter(
                "input", inspect.Parameter.POSITIONAL_ONLY, annotation=type_of(schema)
            )
        )
    return inspect.Signature(parameters, return_annotation=type_of(action.get("output")))


def action_text(name: str, action: Mapping[str, Any]) -> str:
    """Return the docstring of an action's method."""
    lines = [_head(name, action)]
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
    if schema.get("unit"):
        parts.append(f"in {schema['unit']}")
    return ", ".join(each for each in (*parts, *limits) if each)
