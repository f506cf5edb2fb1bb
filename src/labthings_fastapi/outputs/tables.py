"""A run's results as a table: one row for each value, one column for each of its members.

The members of members have dotted names (`position.x`), the items of a tuple numbers. What has no
columns of its own, such as a list of any length, is JSON in a cell. Pure functions.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
ARROW: Final = "application/vnd.apache.arrow.stream"
TABLE_TYPES: Final = (CSV, NDJSON, ARROW)
"""The media types of tables, besides JSON."""
VALUE: Final = "value"
"""The name of the only column, of values without members."""
OTHERS: Final = "others"
"""The column for members that came later, of values that no type hint describes: JSON."""

Kind = Literal["integer", "number", "boolean", "string", "time", "json"]
Path = tuple[str | int, ...]
Schema = Mapping[str, Any]

_NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_DEEPEST: Final = 8
_KINDS: Final[dict[str, Kind]] = {
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "string": "string",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: where its cells are in a value, and what they are."""

    path: Path
    kind: Kind

    @property
    def name(self) -> str:
        """The name: the path with dots."""
        return ".".join(map(str, self.path)) or VALUE


@dataclass(frozen=True, slots=True)
class Columns:
    """All columns of a table; with `open`, also one for members that none of them has."""

    listed: tuple[Column, ...]
    open: bool = False

    @property
    def names(self) -> list[str]:
        """The names in the head of the table."""
        return [each.name for each in self.listed] + ([OTHERS] if self.open else [])

    def row(self, value: Any) -> list[Any]:
        """Return the cells of a value; None where it has no such member."""
        cells = [_at(value, each.path) for each in self.listed]
        if self.open:
            cells.append(_others(value, {each.path for each in self.listed}))
        return cells


def described_columns(schema: Schema) -> Columns | None:
    """Return the columns of values with this data schema; None if it does not say them."""
    listed = _described(schema, ())
    return None if listed is None else Columns(tuple(listed))


def _described(schema: Schema, path: Path) -> list[Column] | None:
    schema = _without_null(schema)
    kind = schema.get("type")
    if len(path) < _DEEPEST and "$ref" not in schema:
        members = schema.get("properties")
        if kind == "object" and members:
            parts: list[tuple[str | int, Any]] = list(members.items())
            return _all(parts, path)
        items = schema.get("items")
        if kind == "array" and (length := schema.get("minItems")) == schema.get("maxItems"):
            if isinstance(items, list) and len(items) == length:
                return _all(list(enumerate(items)), path)
            if isinstance(items, Mapping) and isinstance(length, int) and length <= _DEEPEST:
                return _all([(index, items) for index in range(length)], path)
    if not path and (kind in ("object", None) and not schema.keys() & {"const", "enum", "oneOf"}):
        return None
    return [Column(path, _kind_of(schema))]


def _all(parts: Iterable[tuple[str | int, Any]], path: Path) -> list[Column]:
    found: list[Column] = []
    for name, part in parts:
        found += _described(part, (*path, name)) or [Column((*path, name), "json")]
    return found


def _without_null(schema: Schema) -> Schema:
    """Return the only branch of a union that is not null."""
    branches = [each for each in schema.get("oneOf", ()) if each.get("type") != "null"]
    return branches[0] if len(branches) == 1 else schema


def _kind_of(schema: Schema) -> Kind:
    branches = schema.get("oneOf")
    if branches:
        branches = [each for each in branches if each.get("type") != "null"]
        kinds = {_kind_of(each) for each in branches if not _is_not_finite(each)}
        return kinds.pop() if len(kinds) == 1 else "json"
    if schema.get("format") == "date-time":
        return "time"
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return _common(values)
    return _KINDS.get(schema.get("type", ""), "json")


def _is_not_finite(schema: Schema) -> bool:
    return _NOT_FINITE.issuperset(schema.get("enum", [None]))


def found_columns(values: Sequence[Any], *, open: bool) -> Columns:
    """Return the columns of values that no type hint describes, in the order of their members."""
    cells: dict[Path, list[Any]] = {}
    for value in values:
        _gather(value, (), cells)
    if len(cells) > 1 and all(each is None for each in cells.get((), ())):
        cells.pop((), None)
    listed = [Column(path, _common(found)) for path, found in cells.items()]
    if open:  # of numbers, those that follow need not be whole
        listed = [Column(c.path, "number" if c.kind == "integer" else c.kind) for c in listed]
    return Columns(tuple(listed), open)


def _gather(value: Any, path: Path, cells: dict[Path, list[Any]]) -> None:
    if isinstance(value, dict) and value and len(path) < _DEEPEST:
        for name, member in value.items():
            _gather(member, (*path, name), cells)
    else:
        cells.setdefault(path, []).append(value)


def _common(values: Iterable[Any]) -> Kind:
    kinds: set[Kind] = set()
    for value in values:
        if value is not None:
            kinds.add(_kind_of_value(value))
    if kinds <= {"integer", "number"} and kinds:
        return "number" if "number" in kinds else "integer"
    return kinds.pop() if len(kinds) == 1 else "json"


def _kind_of_value(value: Any) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**63) <= value < 2**63 else "json"
    if isinstance(value, float) or value in ("NaN", "Infinity", "-Infinity"):
        return "number"
    return "string" if isinstance(value, str) else "json"


def _at(value: Any, path: Path) -> Any:
    for name in path:
        if isinstance(name, int):
            if not isinstance(value, list) or name >= len(value):
                return None
            value = value[name]
        elif isinstance(value, dict):
            value = value.get(name)
        else:
            return None
    return value


def _others(value: Any, known: set[Path]) -> Any:
    cells: dict[Path, list[Any]] = {}
    _gather(value, (), cells)
    missing = {path: found[0] for path, found in cells.items() if path not in known}
    if () in missing and known != {()}:
        return missing[()]
    return {".".join(map(str, path)): each for path, each in missing.items() if path} or None


def csv_text(rows: Iterable[Sequence[Any]]) -> bytes:
    """Return rows as CSV (RFC 4180), in UTF-8; None is an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerows([[_cell(each) for each in row] for row in rows])
    return file.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value
