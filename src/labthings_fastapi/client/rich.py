"""Values as Python has them: times, arrays, objects with attributes, blobs."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import IO, Any

from labthings_fastapi.outputs.blob import Blob

Fetch = Callable[[str], bytes]


class Members(dict[str, Any]):
    """A JSON object whose members are attributes as well; for `json` and old code it is a dict."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"It has no member {name!r}, only: {', '.join(self)}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self if name.isidentifier())]


class RemoteBlob(Blob):
    """A binary value of a server; its content is fetched when it is first used."""

    def __init__(self, members: Mapping[str, Any], fetch: Fetch) -> None:
        """Keep the link; nothing is fetched yet."""
        super().__init__(content=b"", media_type=str(members.get("media_type")))
        self.href = str(members["href"])
        description = members.get("description")
        self.description = None if description is None else str(description)
        self._size = members.get("size")
        self._fetch = fetch
        self._fetched: bytes | None = None

    @property
    def content(self) -> bytes:
        """The whole content."""
        if self._fetched is None:
            self._fetched = self._fetch(str(self.href))
        return self._fetched

    @property
    def size(self) -> int:
        """The size of the content in bytes."""
        return int(self._size) if isinstance(self._size, int) else len(self.content)

    def open(self) -> IO[bytes]:
        """Open the content as a binary file for reading."""
        return io.BytesIO(self.content)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.media_type} {self.href}>"


def is_blob(value: Any) -> bool:
    """Whether a JSON value is a link to a binary value."""
    return isinstance(value, dict) and "href" in value and "media_type" in value


def with_blobs(value: Any, fetch: Fetch) -> Any:
    """Return a JSON value with blobs in the place of links to them."""
    if is_blob(value):
        return RemoteBlob(value, fetch)
    if isinstance(value, dict):
        return {name: with_blobs(each, fetch) for name, each in value.items()}
    if isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        return [with_blobs(each, fetch) for each in value]
    return value


def to_rich(value: Any, schema: Any, *, arrays: bool = True, objects: bool = True) -> Any:
    """Return a JSON value as what its schema says it is.

    With `arrays`, lists of numbers become numpy arrays where numpy is installed; with `objects`,
    objects get attributes and texts of the format date-time become aware datetimes.
    """
    found = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, dict):
        members = found.get("properties")
        inner = members if isinstance(members, Mapping) else {}
        made = {
            name: to_rich(each, inner.get(name), arrays=arrays, objects=objects)
            for name, each in value.items()
        }
        return Members(made) if objects else made
    if isinstance(value, list):
        return _to_array(value, found, arrays=arrays, objects=objects)
    if isinstance(value, str):
        return _to_scalar(value, found, objects=objects)
    return value


def _to_scalar(value: str, schema: Mapping[str, Any], *, objects: bool) -> Any:
    branches = [schema, *(each for each in schema.get("oneOf") or () if isinstance(each, Mapping))]
    if objects and any(each.get("format") == "date-time" for each in branches):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    numeric = any(each.get("type") in ("number", "integer") for each in branches)
    return float(value) if numeric and value in ("NaN", "Infinity", "-Infinity") else value


def _to_array(value: list[Any], schema: Mapping[str, Any], *, arrays: bool, objects: bool) -> Any:
    inner = schema.get("items")
    if not isinstance(inner, list):
        made = [to_rich(each, inner, arrays=False, objects=objects) for each in value]
        return _numpy(made) if arrays and _is_numeric(inner) else made
    made = [
        to_rich(each, inner[at] if at < len(inner) else None, arrays=arrays, objects=objects)
        for at, each in enumerate(value)
    ]
    return tuple(made)


def _is_numeric(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") == "array":
        return _is_numeric(schema.get("items"))
    branches = schema.get("oneOf")
    if isinstance(branches, list):
        return any(_is_numeric(each) for each in branches)
    return schema.get("type") in ("number", "integer")


def _numpy(value: list[Any]) -> Any:
    try:
        import numpy as np
    except ImportError:
        return value
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        return value
