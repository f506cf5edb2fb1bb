"""Binary values, such as an image or a data file."""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
import uuid
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic_core import PydanticCustomError, core_schema

from labthings_fastapi.exceptions import MediaTypeMismatchError

if TYPE_CHECKING:
    from typing import IO

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler


_NAME = r"[A-Za-z0-9!#$&^_.+-]+"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}(\s*;.*)?")


class Blob:
    """A binary value with a media type; subclass it and set `media_type`.

    An action returns a blob, and clients download its content from a link. In JSON a blob is this
    link: `{href, media_type, rel: "output", size, description}`::

        class JPEGBlob(lt.blob.Blob):
            media_type = "image/jpeg"

        @lt.action
        def capture(self) -> JPEGBlob:
            return JPEGBlob.from_bytes(self.camera.read())

    A blob does not change after it was made, so any thread may read it.
    """

    media_type: str = "application/octet-stream"
    description: str | None = None
    _rel: ClassVar[str] = "output"

    def __init__(
        self,
        *,
        content: bytes | None = None,
        path: Path | None = None,
        keep_alive: Any = None,
        media_type: str | None = None,
    ) -> None:
        """Hold bytes or the path of a file; the `from_…` methods are easier to use."""
        if (content is None) == (path is None):
            raise TypeError(f"{type(self).__name__} needs either `content` or `path`.")
        self.id = uuid.uuid4().hex
        self._content = content
        self.path = path
        self._keep_alive = keep_alive
        self.href: str | None = None
        if media_type is not None:
            self.media_type = media_type

    @classmethod
    def from_bytes(cls, content: bytes, media_type: str | None = None) -> Self:
        """Return a blob that holds a copy of `content` in memory.

        Raises:
            MediaTypeMismatchError: the class allows other media types only.
        """
        cls._check_media_type(media_type)
        # Not `bytes(content)` alone: `bytes(5)` is 5 zeros.
        return cls(content=bytes(memoryview(content)), media_type=media_type)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], media_type: str | None = None) -> Self:
        """Return a blob of a file, which must neither change nor move.

        Raises:
            MediaTypeMismatchError: the class allows other media types only.
            FileNotFoundError: there is no such file.
        """
        cls._check_media_type(media_type)
        file = Path(path)
        if not file.is_file():
            raise FileNotFoundError(f"{cls.__name__}.from_file: there is no file {str(file)!r}.")
        return cls(path=file, media_type=media_type)

    @classmethod
    def _check_media_type(cls, media_type: str | None) -> None:
        """Refuse what is no media type, and one that the class excludes, as `text/*` does."""
        if media_type is None:
            return
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise ValueError(
                f"{media_type!r} is no media type. Write one as in 'text/csv' or 'image/png'."
            )
        allowed = cls.media_type
        bare = media_type.partition(";")[0].strip().lower()
        if allowed == Blob.media_type:
            return  # a subclass that says nothing allows everything
        if not fnmatchcase(bare, allowed.partition(";")[0].strip().lower()):
            raise MediaTypeMismatchError(cls.__name__, media_type, allowed)

    @classmethod
    def from_temporary_directory(
        cls,
        folder: tempfile.TemporaryDirectory[str],
        file: str,
        media_type: str | None = None,
    ) -> Self:
        """Return a blob of a file in a temporary folder, which is deleted after the blob."""
        blob = cls.from_file(Path(folder.name) / file, media_type)
        blob._keep_alive = folder
        return blob

    @property
    def is_temporary(self) -> bool:
        """Whether its file goes with the blob, so that nobody else writes to it."""
        return isinstance(self._keep_alive, tempfile.TemporaryDirectory)

    @property
    def size(self) -> int:
        """The size of the content in bytes."""
        if self._content is not None:
            return len(self._content)
        return self._file().stat().st_size

    @property
    def content(self) -> bytes:
        """The whole content."""
        return self._content if self._content is not None else self._file().read_bytes()

    def _file(self) -> Path:
        if self.path is None:
            raise FileNotFoundError(f"Blob {self.id} has no file.")
        return self.path

    def open(self) -> IO[bytes]:
        """Open the content as a binary file for reading."""
        if self._content is not None:
            return io.BytesIO(self._content)
        return self._file().open("rb")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the content to a file; an existing file is overwritten."""
        with self.open() as source, Path(path).open("wb") as target:
            shutil.copyfileobj(source, target)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.media_type} {self.id}>"

    @classmethod
    def _checked(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        raise PydanticCustomError(
            "blob_type",
            "Input should be a {expected} made on this server, not a {found}",
            {"expected": cls.__name__, "found": type(value).__name__},
        )

    @staticmethod
    def _link(blob: Blob, info: core_schema.SerializationInfo) -> dict[str, Any]:
        store = (info.context or {}).get("blobs") if isinstance(info.context, dict) else None
        if store is not None:
            blob.href = store.publish(blob)
        return {
            "href": blob.href,
            "media_type": blob.media_type,
            "rel": blob._rel,
            "size": blob.size,
            "description": blob.description or (type(blob).__doc__ or "").partition("\n")[0],
        }

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Validate an instance of this class; serialise it as a link."""
        return core_schema.no_info_plain_validator_function(
            cls._checked,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls._link, info_arg=True
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON schema of the link."""
        media_type: dict[str, Any] = {"type": "string"}
        if "*" not in cls.media_type and cls.media_type != Blob.media_type:
            media_type["const"] = cls.media_type
        return {
            "type": "object",
            "properties": {
                "href": {"type": "string", "format": "uri-reference"},
                "media_type": media_type,
                "rel": {"type": "string", "const": cls._rel},
                "size": {"type": "integer", "minimum": 0},
                "description": {"type": "string"},
            },
            "required": ["href", "media_type"],
        }
