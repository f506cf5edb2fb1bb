"""The members of a server that its own HTTP resources use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labthings_fastapi.thing import Thing


class ServerState(Protocol):
    """A `ThingServer`, as its HTTP resources see it; read on the server's event loop."""

    @property
    def things(self) -> Mapping[str, Thing]:
        """The Things by name."""

    @property
    def state(self) -> str:
        """stopped, starting, running or stopping."""

    def thing_health(self) -> dict[str, dict[str, str]]:
        """The class and the state of each Thing, by name."""

    def security_summary(self) -> dict[str, Any]:
        """How the server is protected: `authentication` and `insecure`."""
