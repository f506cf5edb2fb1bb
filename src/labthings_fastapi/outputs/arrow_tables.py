"""A table as a stream of Apache Arrow; needs pyarrow (the extra `tables`), imported on use."""

from __future__ import annotations

import importlib.util
import io
import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from .tables import Columns, Kind

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def has_arrow() -> bool:
    """Whether pyarrow is installed."""
    return importlib.util.find_spec("pyarrow") is not None


class ArrowWriter:
    """Writes the columns and then rows, piece by piece; for one user at a time."""

    def __init__(self, columns: Columns) -> None:
        """Prepare the head, which `take` gives first."""
        import pyarrow as pa

        self._pa = pa
        types: dict[Kind, Any] = {
            "integer": pa.int64(),
            "number": pa.float64(),
            "boolean": pa.bool_(),
            "string": pa.string(),
            "time": pa.timestamp("us", tz="UTC"),
            "json": pa.string(),
        }
        self._kinds: list[Kind] = [each.kind for each in columns.listed]
        if columns.open:
            self._kinds.append("json")
        fields = [
            pa.field(name, types[kind])
            for name, kind in zip(columns.names, self._kinds, strict=True)
        ]
        self._schema = pa.schema(fields)
        self._sink = io.BytesIO()
        self._writer = pa.ipc.new_stream(self._sink, self._schema)

    def take(self, rows: Iterable[Sequence[Any]] = ()) -> bytes:
        """Return what the rows add to the stream.

        Raises:
            ValueError: a cell does not fit its column, whose type no hint says.
        """
        cells = list(rows)
        if cells:
            columns = zip(*cells, strict=True)
            arrays = [
                self._array(column, kind, field)
                for column, kind, field in zip(columns, self._kinds, self._schema, strict=True)
            ]
            self._writer.write_batch(self._pa.record_batch(arrays, schema=self._schema))
        return self._drained()

    def _array(self, column: Sequence[Any], kind: Kind, field: Any) -> Any:
        try:
            return self._pa.array([_cell(each, kind) for each in column], type=field.type)
        except Exception as error:  # of pyarrow, or of the conversion
            raise ValueError(f"a value does not fit column {field.name!r}: {error}") from error

    def end(self) -> bytes:
        """Return the end of the stream."""
        self._writer.close()
        return self._drained()

    def _drained(self) -> bytes:
        written = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return written


def _cell(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind == "number" and isinstance(value, str):
        return _NOT_FINITE[value]
    if kind == "time":
        return datetime.fromisoformat(value).astimezone(UTC)
    if kind == "json" and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return float(value) if kind == "number" else value
