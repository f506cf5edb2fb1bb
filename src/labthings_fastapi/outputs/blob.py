"""Binary values, such as an image or a data file: the module `lt.blob`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError, core_schema

from labthings_fastapi.exceptions import BlobNotFoundError, MediaTypeMismatchError

from .blob_data import (
    BlobBytes,
    BlobData,
    BlobFile,
    HttpClient,
    LocalBlobData,
    RemoteBlobData,
)
from .media_types import (
    ANY_MEDIA_TYPE,
    has_wildcard,
    match_media_types,
    parse_media_type,
)

if TYPE_CHECKING:
    import tempfile
    from uuid import UUID

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

__all__ = [
    "Blob",
    "BlobBytes",
    "BlobData",
    "BlobFile",
    "BlobModel",
    "LocalBlobData",
    "RemoteBlobData",
    "blob_type",
    "match_media_types",
    "parse_media_type",
]

DEFAULT_DESCRIPTION = (
    "A link to binary data, which are not in this document: download them from its `href`."
)
_HEX = "[0-9a-fA-F]"
_BLOB_ID = re.compile(rf"{_HEX}{{8}}-?(?:{_HEX}{{4}}-?){{3}}{_HEX}{{12}}")


class BlobModel(BaseModel):
    """A blob in JSON: a link."""

    href: str
    media_type: str
    rel: Literal["output"] = "output"
    description: str | None = DEFAULT_DESCRIPTION
    size: int | None = None


class Blob:
    """A binary value with a media type; subclass it and set `media_type`.

    An action returns a blob, and clients download its content from a link. In JSON a blob is this
    link: `{href, media_type, rel: "output", description, size}`. An action that has a blob as
    parameter takes such a link, also within a model or a list: of a blob that another action
    returned, or of an upload (`POST /blob`)::

        class JPEGBlob(lt.blob.Blob):
            media_type = "image/jpeg"

        @lt.action
        def capture(self) -> JPEGBlob:
            return JPEGBlob.from_bytes(self.camera.read())

        @lt.action
        def sharpness(self, image: JPEGBlob) -> float:
            return sharpness_of(image.content)

    `media_type` may be a pattern, such as `image/*`; then each blob has a media type of its own.
    The content does not change after the blob was made, so any thread may read it. Between Things
    a blob is passed as it is, and nothing is copied.
    """

    media_type: str = ANY_MEDIA_TYPE
    description: str | None = None
    _rel: ClassVar[str] = "output"

    def __init__(self, data: BlobData, description: str | None = None) -> None:
        """Hold data; the `from_…` methods are easier to use.

        Raises:
            MediaTypeMismatchError: the class allows other media types only.
        """
        self.data = data
        media_type = type(self)._checked_media_type(data.media_type)
        if media_type is not None:
            self.media_type = media_type
        if description is not None:
            self.description = description

    @classmethod
    def _checked_media_type(cls, media_type: str | None) -> str | None:
        """Return a media type that the class allows; None for one that says less than the class.

        Raises:
            MediaTypeMismatchError: the class allows other media types only.
            ValueError: it is no media type.
        """
        if media_type is None or (has_wildcard(media_type) and media_type == cls.media_type):
            return None
        if media_type == ANY_MEDIA_TYPE:
            return None
        if not match_media_types(media_type, cls.media_type):
            raise MediaTypeMismatchError(cls.__name__, media_type, cls.media_type)
        return media_type

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str | None = None) -> Self:
        """Return a blob that holds a copy of `data` in memory.

        Raises:
            MediaTypeMismatchError: the class allows other media types only.
            ValueError: `media_type` is none.
        """
        return cls(BlobBytes(data, cls._checked_media_type(media_type) or cls.media_type))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], media_type: str | None = None) -> Self:
        """Return a blob of a file, which must neither change nor move.

        Raises:
            MediaTypeMismatchError: the class allows other media types only.
            ValueError: `media_type` is none.
            FileNotFoundError: there is no such file.
        """
        media_type = cls._checked_media_type(media_type) or cls.media_type
        if not Path(path).is_file():
            raise FileNotFoundError(f"{cls.__name__}.from_file: there is no file {str(path)!r}.")
        return cls(BlobFile(path, media_type))

    @classmethod
    def from_temporary_directory(
        cls,
        folder: tempfile.TemporaryDirectory[str],
        file: str,
        media_type: str | None = None,
    ) -> Self:
        """Return a blob of a file in a temporary folder, which is deleted after the blob.

        Raises:
            MediaTypeMismatchError, ValueError, FileNotFoundError: as of `from_file`.
        """
        blob = cls.from_file(Path(folder.name) / file, media_type)
        blob.data._temporary_directory = folder  # type: ignore[attr-defined]
        return blob

    @classmethod
    def from_url(
        cls, href: str, client: HttpClient | None = None, media_type: str | None = None
    ) -> Self:
        """Return a blob of another server; its content is fetched, with `client`, when it is used.

        Raises:
            MediaTypeMismatchError: the class allows other media types only.
            ValueError: `media_type` is none.
        """
        media_type = cls._checked_media_type(media_type) or cls.media_type
        return cls(RemoteBlobData(media_type, href, client))

    @property
    def size(self) -> int | None:
        """The size of the content in bytes; None: not known, of a blob of another server."""
        return self.data.size

    @property
    def content(self) -> bytes:
        """The whole content, in memory."""
        return self.data.content

    def open(self) -> IO[bytes]:
        """Open the content as a binary file for reading."""
        return self.data.open()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the content to a file; an existing file is overwritten."""
        self.data.save(path)

    def response(self) -> Any:
        """Return a response, of FastAPI, with the content: for endpoints of your own.

        Raises:
            NotImplementedError: the blob is on another server.
        """
        return self._data_as_told().response()

    def to_blobmodel(self) -> BlobModel:
        """Return the link that stands for the blob in JSON.

        Raises:
            NoUrlForContextError: no request is being answered, so the server's URL is not known.
        """
        return BlobModel(**self._link(self._data_as_told().get_href()))

    def _data_as_told(self) -> BlobData:
        """Return the data; they are served with the media type that this blob was given."""
        data, media_type = self.data, self.media_type
        if media_type != data.media_type and isinstance(data, LocalBlobData):
            data._media_type = media_type
        return data

    def _link(self, href: str) -> dict[str, Any]:
        # First `href`: see `links.absolute_links`.
        link = {
            "href": href,
            "media_type": self.media_type,
            "rel": self._rel,
            "description": self.description or DEFAULT_DESCRIPTION,
        }
        size = self.data.size
        return link if size is None else {**link, "size": size}

    def __repr__(self) -> str:
        data = self.data
        where = data.id if isinstance(data, LocalBlobData) else getattr(data, "href", "")
        return f"<{type(self).__name__} {self.media_type} {where}>"

    @classmethod
    def _validated(cls, value: Any) -> Self:
        """Return a blob of this class for a blob, or for the link to one of this server."""
        if isinstance(value, cls):
            return value
        if isinstance(value, Blob):
            data, description = value.data, value.description
        else:
            data, description = _linked(value), None
        try:
            return cls(data, description)
        except ValueError as error:
            raise PydanticCustomError("blob_media_type", _literal(str(error))) from None

    @staticmethod
    def _written(blob: Blob, info: core_schema.SerializationInfo) -> dict[str, Any]:
        source = (info.context or {}).get("blobs") if isinstance(info.context, dict) else None
        data = blob._data_as_told()
        if source is not None and isinstance(data, LocalBlobData):
            return blob._link(source.publish(data))
        return blob._link(data.get_href())

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Validate a blob or a link to one; serialise it as a link."""
        return core_schema.no_info_plain_validator_function(
            cls._validated,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls._written, info_arg=True
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON schema of the link."""
        media_type: dict[str, Any] = {"type": "string", "default": cls.media_type}
        if not has_wildcard(cls.media_type):
            media_type["const"] = [cls.media_type]  # a list, as clients of 0.3 have it
        description: dict[str, Any] = {"type": "string"}
        if cls.description is not None:
            description["default"] = cls.description
        return {
            "title": cls.__name__,
            "type": "object",
            "properties": {
                "href": {"type": "string", "format": "uri-reference"},
                "media_type": media_type,
                "rel": {"type": "string", "default": cls._rel},
                "description": description,
                "size": {"type": "integer", "minimum": 0},
            },
            "required": ["href", "media_type"],
        }


def blob_type(media_type: str) -> type[Blob]:
    """Return a subclass of `Blob` for a media type: `class …: media_type = "text/csv"` is clearer.

    Raises:
        ValueError: `media_type` has quotation marks or backslashes.
    """
    if any(character in media_type for character in "'\"\\"):
        raise ValueError(f"{media_type!r} has quotation marks or backslashes.")
    name = "".join(part.title() for part in re.findall(r"[A-Za-z0-9]+", media_type))
    return type(f"{name or 'Any'}Blob", (Blob,), {"media_type": media_type})


def _literal(text: str) -> Any:
    # pydantic takes what is in braces for a name.
    return text.replace("{", "(").replace("}", ")")


def _linked(value: Any) -> LocalBlobData:
    """Return the data of a link; of its URL only the id counts, so any host name will do."""
    try:
        link = BlobModel.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        text = f"Input should be a blob or the link to one{': ' + place if place else ''}"
        raise PydanticCustomError("blob", _literal(f"{text}: {first['msg']}")) from None
    found = _BLOB_ID.search(link.href.partition("?")[0])
    if found is None:
        raise PydanticCustomError("blob_id", "Blob URLs must contain a Blob ID.")
    return _of_id(found[0])


def _of_id(id: UUID | str) -> LocalBlobData:
    try:
        return LocalBlobData.from_id(id)
    except BlobNotFoundError as error:
        raise PydanticCustomError("blob_not_found", _literal(str(error))) from None
