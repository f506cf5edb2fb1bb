"""The DNS-SD services of a server (W3C WoT Discovery, section 6.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

SERVICE_TYPE = "_wot._tcp.local."
DIRECTORY_TYPE = f"_directory._sub.{SERVICE_TYPE}"
DIRECTORY_PATH = "/.well-known/wot"
MAX_NAME_BYTES = 63
"""The length of one label (RFC 6763, section 4.1.1)."""

_SUFFIX_BYTES = len("-9999")  # a number makes a name unique
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Service:
    """One service instance: its name in lists, and the path of its description."""

    name: str
    path: str
    type: Literal["Thing", "Directory"] = "Thing"

    def txt(self, scheme: str) -> dict[str, str]:
        """Return the TXT record; `scheme` is "http" or "https"."""
        return {"td": self.path, "type": self.type, "scheme": scheme}


@dataclass(frozen=True, slots=True)
class Origin:
    """The server in the names of its services: the name of the computer, and the server id."""

    host: str
    server_id: UUID | None = None

    @property
    def target(self) -> str:
        """The target of the SRV record: the computer's name."""
        first = self.host.partition(".")[0]
        return f"{re.sub(r'[^A-Za-z0-9-]+', '-', first).strip('-') or 'localhost'}.local."

    def thing(self, name: str, title: str, path: str, taken: Collection[str] = ()) -> Service:
        """Return the service of a Thing; its name is not one of `taken`."""
        subject = title if title.casefold() == name.casefold() else f"{title} ({name})"
        return Service(self._unique(subject, taken), path)

    def directory(self, prefix: str = "", taken: Collection[str] = ()) -> Service:
        """Return the service of the directory of all Things."""
        return Service(self._unique("All Things", taken), prefix + DIRECTORY_PATH, "Directory")

    def _unique(self, subject: str, taken: Collection[str]) -> str:
        """Return a name that is unique on this server, and most likely on the network.

        Names that differ in case only are the same name for mDNS (RFC 6762, section 16).
        """
        server = f" {str(self.server_id)[:8]}" if self.server_id else ""
        suffix = f" on {_cut(self.host.partition('.')[0], 20)}{server}"
        length = MAX_NAME_BYTES - _SUFFIX_BYTES - len(suffix.encode())
        name = _cut(subject, length) + suffix
        number, found = 2, name
        lowered = {each.casefold() for each in taken}
        while found.casefold() in lowered:
            found = f"{name}-{number}"
            number += 1
        return found


def _cut(text: str, size: int) -> str:
    """Return the start of a text, at most `size` bytes of UTF-8, without control characters."""
    text = _CONTROL.sub(" ", text).strip()
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore").rstrip()
