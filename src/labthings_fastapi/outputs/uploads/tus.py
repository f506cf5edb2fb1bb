"""The headers of resumable uploads, the protocol tus 1.0 (https://tus.io/protocols). Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,expiration"
CONTENT_TYPE: Final = "application/offset+octet-stream"
_NUMBER: Final = re.compile("[0-9]{1,19}")


def read_number(header: str, text: str | None) -> int:
    """Return the number of bytes in a header.

    Raises:
        ValueError: the header is missing, or is no such number.
    """
    if text is None:
        raise ValueError(f"The header `{header}` is missing: send a number of bytes.")
    if _NUMBER.fullmatch(text.strip()) is None:
        raise ValueError(f"The header `{header}` is {text!r}: send a number of bytes.")
    return int(text)


def read_metadata(header: str) -> dict[str, str]:
    """Return the pairs of `Upload-Metadata`, as in `filename YS50eHQ=,filetype dGV4dC9wbGFpbg==`.

    Raises:
        ValueError: it is not of this form, or a value is no text in UTF-8.
    """
    pairs: dict[str, str] = {}
    for pair in header.split(","):
        key, _, encoded = pair.strip().partition(" ")
        if not key:
            continue
        try:
            pairs[key] = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"The value of {key!r} in the header `Upload-Metadata` is no text in Base64: "
                f"{error}."
            ) from None
    return pairs
