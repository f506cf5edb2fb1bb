"""The files of a run, as a server lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from .rich import BlobSource, RemoteBlob


class RemoteFile(RemoteBlob):
    """A file of a run: `save(path)` writes it to a file as it arrives, `content` has its bytes."""

    def __init__(self, members: Mapping[str, Any], source: BlobSource) -> None:
        """Keep what the list says; nothing is fetched yet."""
        super().__init__(members, source)
        self.name = str(members.get("name"))
        checksum = members.get("checksum")
        self.checksum = None if checksum is None else str(checksum)
        """`sha256:` and hexadecimal digits; None while the run goes on."""


def listed_files(address: str, listed: Any, resolve: Callable[[str], str]) -> dict[str, Any]:
    """Return what a list at an address says of each file, by name, with its whole URL."""
    found: dict[str, Any] = {}
    for each in listed if isinstance(listed, list) else ():
        members = each if isinstance(each, Mapping) else {"name": each}
        name = str(members.get("name"))
        href = str(members.get("href") or f"{address}/{quote(name)}")
        found[name] = {"media_type": "application/octet-stream", **members, "href": resolve(href)}
    return found
