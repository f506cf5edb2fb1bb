"""Data schemas as Python code: TypedDicts, enums, and the types made of them."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from typing import Any

from .arrays import array_schema
from .values import input_names

_SIMPLE = {
    "number": "float",
    "integer": "int",
    "string": "str",
    "boolean": "bool",
    "null": "None",
}
_BLOB = {"href", "media_type"}
USED_NAMES = frozenset(
    [
        "Any",
        "Blob",
        "Literal",
        "NDArray",
        "NotRequired",
        "StrEnum",
        "TypedDict",
        "datetime",
        "given_",
        "GeneratedThing",
        "AsyncGeneratedThing",
        "property",
        "int",
        "float",
        "str",
        "bool",
        "list",
        "dict",
        "tuple",
    ]
)
"""What generated code needs; nothing in it gets these names."""
_NOT_FINITE = {"NaN", "Infinity", "-Infinity"}


def class_name(*words: str) -> str:
    """Return words as the name of a class."""
    parts = [part for word in words for part in re.split(r"[^0-9A-Za-z]+", word) if part]
    name = "".join(part[0].upper() + part[1:] for part in parts)
    return name if name and not name[0].isdigit() else f"Thing{name}"


def variable_name(name: str) -> str:
    """Return a name as Python allows it."""
    found = re.sub(r"\W", "_", name)
    if not found or found[0].isdigit():
        found = f"_{found}"
    return f"{found}_" if keyword.iskeyword(found) or found in ("self", "None") else found


def literal(value: Any) -> str:
    """Return Python code for a text, a number, a truth value or None."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True)
    return repr(value)


def docstring(text: str, indent: str) -> list[str]:
    """Return the lines of a docstring; no text can end it early."""
    safe = "".join(sign for sign in text.strip() if sign.isprintable() or sign == "\n")
    safe = safe.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if safe.endswith('"'):
        safe = f'{safe[:-1]}\\"'
    lines = [line.rstrip() for line in safe.splitlines()] or [""]
    if len(lines) == 1:
        return [f'{indent}"""{lines[0]}"""']
    body = [f"{indent}{line}" if line else "" for line in lines[1:]]
    return [f'{indent}"""{lines[0]}', *body, f'{indent}"""']


class WrittenTypes:
    """The classes that the types need, in the order in which Python can read them."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.classes: list[str] = []
        self.imports: set[str] = set()  # of datetime, enum, typing, Any and so on
        self._names: dict[str, str] = {}  # by schema, as canonical JSON
        self._taken: set[str] = set(USED_NAMES)
        self._enums: dict[str, dict[Any, str]] = {}

    def take(self, name: str) -> str:
        """Return a name that no class has yet, and keep it."""
        found, number = name, 2
        while found in self._taken:
            found, number = f"{name}{number}", number + 1
        self._taken.add(found)
        return found

    def type_of(self, schema: Any, name: str) -> str:
        """Return the type of a data schema; `name` is for a class that it may need."""
        if not isinstance(schema, Mapping):
            return self._any()
        if array_schema(schema) is not None:
            return self._numpy_array(schema)
        branches = schema.get("oneOf") or schema.get("anyOf")
        if isinstance(branches, list) and branches:
            types = [self.type_of(each, name) for each in branches if not _only_not_finite(each)]
            types = list(dict.fromkeys(types))
            if not types or "Any" in types:
                return self._any()
            return " | ".join(sorted(types, key=lambda each: each == "None"))
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list) and values:
            return self._enum(values, name)
        return self._plain(schema, name)

    def _numpy_array(self, schema: Mapping[str, Any]) -> str:
        """Return the type of arrays; numbers, and texts for what JSON has not, are arrays too."""
        self.imports |= {"Any", "NDArray"}
        branches = schema.get("oneOf") or ()
        nullable = any(
            isinstance(each, Mapping) and each.get("type") == "null" for each in branches
        )
        return "NDArray[Any] | None" if nullable else "NDArray[Any]"

    def _any(self) -> str:
        self.imports.add("Any")
        return "Any"

    def _plain(self, schema: Mapping[str, Any], name: str) -> str:
        kind = schema.get("type")
        if kind == "string" and schema.get("format") == "date-time":
            self.imports.add("datetime")
            return "datetime"
        if kind == "array":
            return self._array(schema.get("items"), name)
        members = schema.get("properties")
        if isinstance(members, Mapping) and members:
            if set(members) >= _BLOB:
                self.imports.add("Blob")
                return "Blob"
            return self._typed_dict(schema, members, name)
        if kind == "object":
            others = schema.get("additionalProperties")
            return f"dict[str, {self.type_of(others, name)}]"
        return _SIMPLE[kind] if isinstance(kind, str) and kind in _SIMPLE else self._any()

    def _array(self, items: Any, name: str) -> str:
        if isinstance(items, list):
            inner = [self.type_of(each, f"{name}{at}") for at, each in enumerate(items)]
            return f"tuple[{', '.join(inner) or '()'}]"
        return f"list[{self.type_of(items, f'{name}Item')}]"

    def _enum(self, values: list[Any], name: str) -> str:
        texts = all(isinstance(each, str) for each in values)
        if not texts or len(values) == 1:
            known = (str, int, bool, type(None))
            if not all(isinstance(each, known) for each in values):
                return self._any()
            self.imports.add("Literal")
            return f"Literal[{', '.join(map(literal, values))}]"
        key = json.dumps(["enum", values])
        if key in self._names:
            return self._names[key]
        found = self._names[key] = self.take(name)
        self.imports.add("StrEnum")
        members: dict[Any, str] = {}
        for value in values:
            member = _constant(value)
            while member in members.values():
                member += "_"
            members[value] = member
        self._enums[found] = members
        lines = [f"class {found}(StrEnum):"]
        lines += [f"    {member} = {literal(value)}" for value, member in members.items()]
        self.classes.append("\n".join(lines))
        return found

    def _typed_dict(self, schema: Mapping[str, Any], members: Mapping[str, Any], name: str) -> str:
        required = set(schema.get("required") or ())
        key = json.dumps([members, sorted(required)], sort_keys=True)
        if key in self._names:
            return self._names[key]
        found = self._names[key] = self.take(name)
        types: dict[str, str] = {}
        for member in input_names(schema):
            inner = self.type_of(members[member], f"{found}{class_name(member)}")
            if member not in required:
                self.imports.add("NotRequired")
                inner = f"NotRequired[{inner}]"
            types[member] = inner
        self.imports.add("TypedDict")
        if all(variable_name(each) == each and not each.startswith("__") for each in types):
            lines = [f"class {found}(TypedDict):"]
            about = str(schema.get("description") or "")
            lines += [*docstring(about, "    "), ""] if about else []
            lines += [f"    {member}: {inner}" for member, inner in types.items()]
        else:
            lines = [f"{found} = TypedDict(", f"    {literal(found)},", "    {"]
            lines += [f"        {literal(each)}: {inner}," for each, inner in types.items()]
            lines += ["    },", ")"]
        self.classes.append("\n".join(lines))
        return found

    def default(self, value: Any, written: str) -> str | None:
        """Return code for a default of a type that was written; None if it needs more than that."""
        base = written.removesuffix(" | None")
        if value is None:
            return None
        if base in self._enums:
            member = self._enums[base].get(value) if isinstance(value, str) else None
            return None if member is None else f"{base}.{member}"
        if base.startswith("Literal[") and isinstance(value, str | int):
            return literal(value)
        fits = {"float": (int, float), "int": (int,), "str": (str,), "bool": (bool,)}.get(base)
        if fits is None or not isinstance(value, fits):
            return None
        if base != "bool" and isinstance(value, bool):
            return None
        return literal(float(value) if base == "float" else value)


def _constant(value: str) -> str:
    found = re.sub(r"\W", "_", value, flags=re.ASCII).upper()
    if not found.strip("_") or found[0].isdigit() or found.startswith("_"):
        found = f"VALUE_{found.lstrip('_')}"
    return f"{found}_" if keyword.iskeyword(found) or found in ("MRO",) else found


def _only_not_finite(schema: Any) -> bool:
    values = schema.get("enum") if isinstance(schema, Mapping) else None
    return isinstance(values, list) and bool(values) and set(map(str, values)) <= _NOT_FINITE
