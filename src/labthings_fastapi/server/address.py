"""The address on which a server listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labthings_fastapi.exceptions import LabThingsError


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a server listens: the host as it was configured, and the actual port."""

    host: str
    port: int
    tls: bool = False
    addresses: tuple[str, ...] = ()
    """IP addresses of the server's sockets."""

    @property
    def scheme(self) -> Literal["http", "https"]:
        return "https" if self.tls else "http"

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/"


class AddressError(LabThingsError, OSError):
    """The server cannot listen on its address: the port is taken, or the address is not ours."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"Port {port} of {host!r} cannot be used: {reason}. Stop the program that uses it, or "
            "choose another host or port."
        )
