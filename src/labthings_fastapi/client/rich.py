"""Values as Python has them: times, arrays, objects with attributes, blobs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from labthings_fastapi.outputs.blob import Blob
from labthings_fastapi.outputs.blob_data import RemoteBlobData

from .arrays import array_schema, described_array

_PLAIN = frozenset({bool, int, float, str, type(None)})


class BlobSource(Protocol):
    """The client over whose connection blobs came."""

    def _fetch(self, href: str) -> bytes: ...
    def _download(self, href: str, path: Path) -> None: ...


class Members(dict[str, Any]):
    """A JSON object whose members are attributes as well; for `json` and old code it is a dict."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"It has no member {name!r}, only: {', '.join(self)}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self if name.isidentifier())]


class FetchedData(RemoteBlobData):
    """Data of a server, which are fetched over the client's connection when they are used."""

    def __init__(self, media_type: str, href: str, size: Any, source: BlobSource) -> None:
        """Keep the link; nothing is fetched yet."""
        super().__init__(media_type, href)
        self._size = size if isinstance(size, int) else None
        self._source = source
        self._fetched: bytes | None = None

    @property
    def size(self) -> int | None:
        """The number of bytes, if the server says it."""
        return self._size

    @property
    def content(self) -> bytes:
        """The whole content, in memory; fetched once."""
        if self._fetched is None:
            self._fetched = self._source._fetch(self.href)
        return self._fetched

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the content to a file as it arrives; an existing file is overwritten."""
        if self._fetched is not None:
            super().save(path)
        else:
            self._source._download(self.href, Path(path))


class RemoteBlob(Blob):
    """A binary value of a server; its content is fetched when it is first used."""

    def __init__(self, members: Mapping[str, Any], source: BlobSource) -> None:
        """Keep the link; nothing is fetched yet."""
        media_type = str(members.get("media_type"))
        href = str(members["href"])
        super().__init__(FetchedData(media_type, href, members.get("size"), source))
        self.media_type = media_type
        description = members.get("description")
        self.description = None if description is None else str(description)

    @classmethod
    def _checked_media_type(cls, media_type: str | None) -> str | None:
        return media_type  # as the server says, also if it is malformed

    @property
    def href(self) -> str:
        """The URL of the content, as the server gave it."""
        return self.data.get_href()


def is_blob(value: Any) -> bool:
    """Whether a JSON value is a link to a binary value."""
    return isinstance(value, dict) and "href" in value and "media_type" in value


def with_blobs(value: Any, source: BlobSource) -> Any:
    """Return a JSON value with blobs in the place of links to them."""
    if is_blob(value):
        return RemoteBlob(value, source)
    if isinstance(value, dict):
        return {name: with_blobs(each, source) for name, each in value.items()}
    if isinstance(value, list) and not _PLAIN.issuperset(map(type, value)):
        return [with_blobs(each, source) for each in value]
    return value


def to_rich(value: Any, schema: Any, *, arrays: bool = True, objects: bool = True) -> Any:
    """Return a JSON value as what its schema says it is.

    What is described as an array of numpy becomes one, where numpy is installed. With `arrays`,
    other lists of numbers do too; with `objects`, objects get attributes and texts of the format
    date-time become aware datetimes.
    """
    found = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, bool | int | float | str | list):
        described = array_schema(found)
        if described is not None:
            return described_array(value, described)
    if isinstance(value, dict):
        members = found.get("properties")
        inner = members if isinstance(members, Mapping) else {}
        others = found.get("additionalProperties")
        made = {
            name: to_rich(each, inner.get(name, others), arrays=arrays, objects=objects)
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
        whole = arrays and _is_numeric(inner) and not _is_array(inner)
        return _numpy(made) if whole else made
    made = [
        to_rich(each, inner[at] if at < len(inner) else None, arrays=arrays, objects=objects)
        for at, each in enumerate(value)
    ]
    return tuple(made)


def _is_array(schema: Any) -> bool:
    return isinstance(schema, Mapping) and array_schema(schema) is not None


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
