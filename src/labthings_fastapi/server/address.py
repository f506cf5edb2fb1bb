"""Where a server listens, as others need to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labthings_fastapi.exceptions import LabThingsError


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a server listens: the host as it was given, the port that it really has."""

    host: str
    port: int
    tls: bool = False
    addresses: tuple[str, ...] = ()
    """Of its sockets, as the system names them."""

    @property
    def scheme(self) -> Literal["http", "https"]:
        """The scheme of its URLs."""
        return "https" if self.tls else "http"

    @property
    def url(self) -> str:
        """The root, as somebody would type it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/"


class AddressError(LabThingsError, OSError):
    """A server cannot listen where it should: the port is taken, or the address is not ours."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        """Name the place and what the operating system says."""
        super().__init__(
            f"Port {port} of {host!r} cannot be used: {reason}. Stop what uses it, or choose "
            "another host or port."
        )
