"""Who asks for what the code at hand does: a context variable, set where requests come in."""

from __future__ import annotations

from contextvars import ContextVar


class Requester:
    """Who asks, as far as the record of it goes: the actor's name and the network address.

    Each request of HTTP has one of its own; those of a WebSocket share the socket's, at the same
    time and from several threads. That is safe: name and address stay, and the mark is only set.
    """

    __slots__ = ("address", "made_invocation", "name")

    def __init__(self, name: str | None, address: str | None) -> None:
        """Note who asks, None for somebody who need not say, and from where."""
        self.name = name
        self.address = address
        self.made_invocation = False
        """Whether a run was made for it, which is recorded by itself; asked of HTTP only."""


current_requester: ContextVar[Requester | None] = ContextVar("labthings_requester", default=None)
"""The requester of what this code does; None if it was not requested over the network."""
