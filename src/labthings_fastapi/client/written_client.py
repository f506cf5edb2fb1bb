"""Thing Descriptions as a Python module: a class for each Thing, with annotations and texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .description import Description
from .signatures import action_text, property_text
from .values import input_names, takes_object
from .written_types import USED_NAMES, WrittenTypes, class_name, docstring, literal, variable_name

_WIDTH = 100
_OWN = {"client_", "connect_", "_read", "_write", "_call", *USED_NAMES}


def written_client(descriptions: Mapping[str, Description], *, asynchronous: bool = False) -> str:
    """Return the module for these Things by name; the same descriptions give the same text."""
    types = WrittenTypes()
    written = [
        _Written(types, name, description, asynchronous=asynchronous)
        for name, description in descriptions.items()
    ]
    for each in written:  # before the other classes take these names
        each.name = types.take(class_name(each.thing))
    things = [each.code() for each in written]
    option = " --async" if asynchronous else ""
    names = ", ".join(descriptions) or "none"
    head = docstring(
        f"Clients of Things: {names}.\n\nWritten by `labthings generate-client{option}`. To change "
        "it, write it again.",
        "",
    )
    parts = ["\n".join(head), _imports(types.imports, asynchronous=asynchronous)]
    return (
        "\n\n".join(parts) + "".join(f"\n\n\n{each}" for each in (*types.classes, *things)) + "\n"
    )


def _imports(needed: set[str], *, asynchronous: bool) -> str:
    standard = [
        f"from {module} import {', '.join(found)}"
        for module, names in (
            ("datetime", ("datetime",)),
            ("enum", ("StrEnum",)),
            ("typing", ("Any", "Literal")),
        )
        if (found := [name for name in names if name in needed])
    ]
    other = [name for name in ("NotRequired", "TypedDict") if name in needed]
    base = "AsyncGeneratedThing" if asynchronous else "GeneratedThing"
    names = f"{base}, given_" if "given_" in needed else base
    own = [f"from labthings_fastapi.client.generated import {names}"]
    if "Blob" in needed:
        own.append("from labthings_fastapi.outputs.blob import Blob")
    if "NDArray" in needed:
        own.append("from labthings_fastapi.types.numpy import NDArray")
    theirs = [f"from typing_extensions import {', '.join(other)}"] if other else []
    blocks = [standard, [*own, *theirs]]
    return "\n\n".join("\n".join(block) for block in blocks if block)


class _Written:
    """One Thing as a class."""

    def __init__(
        self, types: WrittenTypes, thing: str, description: Description, *, asynchronous: bool
    ) -> None:
        self._types = types
        self.thing = thing
        self.name = ""
        self._description = description
        self._async = asynchronous
        self._members: set[str] = set(_OWN)

    def code(self) -> str:
        base = "AsyncGeneratedThing" if self._async else "GeneratedThing"
        text = str(self._description.members.get("description") or self._description.title)
        lines = [f"class {self.name}({base}):", *docstring(text, "    ")]
        for name, schema in self._description.affordances("properties").items():
            lines += self._property(name, schema)
        for name, action in self._description.affordances("actions").items():
            lines += self._action(name, action)
        return "\n".join(lines)

    def _member(self, name: str) -> str:
        found = variable_name(name)
        while found in self._members or found.startswith("__"):
            found = f"{found.strip('_') or 'member'}_" if found.startswith("__") else f"{found}_"
        self._members.add(found)
        return found

    def _property(self, name: str, schema: Mapping[str, Any]) -> list[str]:
        kind = self._types.type_of(schema, f"{self.name}{class_name(name)}")
        readable, writable = not schema.get("writeOnly"), not schema.get("readOnly")
        text = docstring(property_text(name, schema), "        ")
        if self._async:
            return self._async_property(name, kind, text, readable=readable, writable=writable)
        member = self._member(name)
        lines = ["", "    @property", f"    def {member}(self) -> {kind}:", *text]
        if readable:
            lines += [f"        value: {kind} = self._read({literal(name)}, {kind})"]
            lines += ["        return value"]
        else:
            lines += [f"        raise AttributeError({literal(f'{name} can only be set')})"]
        if writable:
            lines += [
                "",
                f"    @{member}.setter",
                f"    def {member}(self, value: {kind}) -> None:",
            ]
            lines += [f"        self._write({literal(name)}, value)"]
        return lines

    def _async_property(
        self, name: str, kind: str, text: list[str], *, readable: bool, writable: bool
    ) -> list[str]:
        lines: list[str] = []
        if readable:
            member = self._member(f"get_{variable_name(name)}")
            lines += ["", f"    async def {member}(self) -> {kind}:", *text]
            lines += [f"        value: {kind} = await self._read({literal(name)}, {kind})"]
            lines += ["        return value"]
        if writable:
            member = self._member(f"set_{variable_name(name)}")
            lines += ["", f"    async def {member}(self, value: {kind}) -> None:", *text]
            lines += [f"        await self._write({literal(name)}, value)"]
        return lines

    def _action(self, name: str, action: Mapping[str, Any]) -> list[str]:
        member = self._member(name)
        output = action.get("output")
        place = f"{self.name}{class_name(name)}"
        kind = "None" if output is None else self._types.type_of(output, f"{place}Output")
        parameters, arguments = self._arguments(action.get("input"), place)
        word, wait = ("async def", "await ") if self._async else ("def", "")
        lines = ["", *_signature(f"    {word} {member}", parameters, kind)]
        lines += docstring(action_text(name, action), "        ")
        target = "" if kind == "None" else f"value: {kind} = "
        call = [literal(name), kind, *arguments]
        lines += _call(f"        {target}{wait}self._call", call)
        return lines if kind == "None" else [*lines, "        return value"]

    def _arguments(self, schema: Any, place: str) -> tuple[list[str], list[str]]:
        if not isinstance(schema, Mapping):
            return [], []
        if not takes_object(schema):
            return [f"input: {self._types.type_of(schema, f'{place}Input')}"], ["input"]
        required = schema.get("required") or ()
        parameters: list[str] = []
        sent: list[str] = []  # always
        given: list[str] = []  # unless None
        taken: set[str] = {"self", "value"}
        for each in input_names(schema):
            name = variable_name(each)
            while name in taken:
                name += "_"
            taken.add(name)
            inner = schema["properties"][each]
            kind = self._types.type_of(inner, f"{place}{class_name(each)}")
            default = None
            if each not in required and isinstance(inner, Mapping):
                default = self._types.default(inner.get("default"), kind)
            if each in required:
                parameters.append(f"{name}: {kind}")
                sent.append(f"{literal(each)}: {name}")
            elif default is not None:
                parameters.append(f"{name}: {kind} = {default}")
                sent.append(f"{literal(each)}: {name}")
            else:
                optional = kind if kind == "Any" or kind.endswith("None") else f"{kind} | None"
                parameters.append(f"{name}: {optional} = None")
                given.append(f"{literal(each)}: {name}")
        call = [f"**{{{', '.join(sent)}}}"] if sent else []
        if given:
            self._types.imports.add("given_")
            call.append(f"**given_({{{', '.join(given)}}})")
        return parameters, call


def _signature(head: str, parameters: list[str], kind: str) -> list[str]:
    line = f"{head}({', '.join(['self', *parameters])}) -> {kind}:"
    if len(line) <= _WIDTH:
        return [line]
    return [
        f"{head}(",
        *(f"        {each}," for each in ("self", *parameters)),
        f"    ) -> {kind}:",
    ]


def _call(head: str, arguments: list[str]) -> list[str]:
    line = f"{head}({', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{head}(", *(f"            {each}," for each in arguments), "        )"]
