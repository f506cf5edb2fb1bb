"""Media types: read, compared with a pattern, and what a browser may do with each. Pure."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from typing import Final
from urllib.parse import quote

ANY_MEDIA_TYPE: Final = "*/*"
UNKNOWN_MEDIA_TYPE: Final = "application/octet-stream"

_NAME: Final = r"[A-Za-z0-9!#$&^_.+-]+"
_MEDIA_TYPE: Final = re.compile(rf"\s*({_NAME})/({_NAME})\s*(;.*)?", re.DOTALL)
_PATTERN: Final = re.compile(rf"\s*({_NAME}|\*)/({_NAME}|\*)\s*(;.*)?", re.DOTALL)
_EXTENSIONS: Final = {
    "application/json": ".json",
    "application/octet-stream": ".bin",
    "application/x-npy": ".npy",
    "image/jpeg": ".jpg",
    "image/tiff": ".tif",
    "text/csv": ".csv",
    "text/plain": ".txt",
}
_TYPES: Final = {
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".log": "text/plain",
    ".h5": "application/x-hdf5",
    ".hdf5": "application/x-hdf5",
}
_LONGEST_NAME: Final = 200


def parse_media_type(text: str) -> tuple[str, str]:
    """Return type and subtype, in lower case: `text/plain; charset=utf-8` → `("text", "plain")`.

    Raises:
        ValueError: it is no media type, or has a wildcard, which only patterns have.
    """
    found = _MEDIA_TYPE.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is no media type. Write one as in 'text/csv' or 'image/png'; only the "
            "media type of a class may have a wildcard, as in 'image/*'."
        )
    return found[1].lower(), found[2].lower()


def match_media_types(media_type: str, pattern: str) -> bool:
    """Return whether a media type fits a pattern, as `image/png` fits `image/*` and `*/*`.

    Parameters such as `charset` are not compared.

    Raises:
        ValueError: one of them is not well formed, or `media_type` has a wildcard.
    """
    wanted = _PATTERN.fullmatch(pattern)
    if wanted is None:
        raise ValueError(
            f"{pattern!r} is no pattern of media types. Write one as in 'text/csv', 'image/*' or "
            "'*/*'."
        )
    found = parse_media_type(media_type)
    return all(part in ("*", own) for own, part in zip(found, _lower(wanted), strict=True))


def _lower(found: re.Match[str]) -> tuple[str, str]:
    return found[1].lower(), found[2].lower()


def has_wildcard(media_type: str) -> bool:
    """Return whether it is a pattern for several media types."""
    return "*" in media_type.partition(";")[0]


def content_type(media_type: str) -> str:
    """Return the value of a `Content-Type` header; a pattern is no media type for a client."""
    text = media_type.strip()
    if has_wildcard(text) or _MEDIA_TYPE.fullmatch(text) is None or not text.isascii():
        return UNKNOWN_MEDIA_TYPE
    return UNKNOWN_MEDIA_TYPE if any(map(_is_control, text)) else text


def _is_control(character: str) -> bool:
    return unicodedata.category(character).startswith("C")


def media_type_of(filename: str) -> str:
    """Return the media type of a file by the end of its name."""
    lower = filename.lower()
    for end, media_type in _TYPES.items():
        if lower.endswith(end):
            return media_type
    guessed, encoding = mimetypes.guess_type(lower)
    return UNKNOWN_MEDIA_TYPE if guessed is None or encoding is not None else guessed


def is_shown(media_type: str) -> bool:
    """Return whether a browser may show it: an image or plain text, nothing that may be active."""
    bare = content_type(media_type).partition(";")[0].strip().lower()
    return bare == "text/plain" or (bare.startswith("image/") and bare != "image/svg+xml")


def default_filename(stem: str, media_type: str) -> str:
    """Return a name for a download that has none of its own: `blob-1f2e3d4c.jpg`."""
    bare = content_type(media_type).partition(";")[0].strip().lower()
    return stem + (_EXTENSIONS.get(bare) or mimetypes.guess_extension(bare) or ".bin")


def safe_filename(name: str) -> str:
    """Return a name for a file without folders and control characters; empty if nothing is left."""
    bare = re.split(r"[/\\]", name)[-1]
    kept = "".join("_" if _is_control(each) or each in '<>:"|?*' else each for each in bare)
    kept = kept.strip(" .")
    if len(kept) > _LONGEST_NAME:
        stem, dot, end = kept.rpartition(".")
        end = dot + end if dot and len(end) < _LONGEST_NAME // 4 else ""
        kept = (stem if end else kept)[: _LONGEST_NAME - len(end)] + end
    return kept


def content_disposition(media_type: str, filename: str) -> str:
    """Return the header (RFC 6266): images and plain text are shown, all else is downloaded."""
    kind = "inline" if is_shown(media_type) else "attachment"
    name = safe_filename(filename)
    if not name:
        return kind
    if name.isascii():
        return f'{kind}; filename="{name}"'
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or "file"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
