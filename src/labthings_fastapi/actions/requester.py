"""Who asks for what the code at hand does: a context variable, set where requests come in."""

from __future__ import annotations

from contextvars import ContextVar, Token


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


_current: ContextVar[Requester | None] = ContextVar("labthings_asker", default=None)


def current_requester() -> Requester | None:
    """Return who asked for what this code does, or None where nobody did over the network."""
    return _current.get()


class request_context:  # noqa: N801 - used like a function, in a `with`
    """Do something for a request; a class, because every request passes here."""

    __slots__ = ("_asker", "_token")

    _token: Token[Requester | None]

    def __init__(self, requester: Requester) -> None:
        """Do it for this one."""
        self._asker = requester

    def __enter__(self) -> Requester:
        self._token = _current.set(self._asker)
        return self._asker

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
