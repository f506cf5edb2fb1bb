"""uvicorn's server, which tells where it listens as soon as it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

Bound = list[tuple[str, int]]
"""Addresses and ports, as sockets name them."""


class ListeningServer(uvicorn.Server):
    """A server that says to which addresses and ports it is bound; port 0 is any free one."""

    def __init__(
        self, config: uvicorn.Config, listening: Callable[[Bound], Awaitable[None]]
    ) -> None:
        """Call `listening` on the server's event loop, once; it must not raise."""
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        if self.started:
            await self._listening(
                [each.getsockname()[:2] for server in self.servers for each in server.sockets]
            )
