"""Who asks for what the code at hand does: a context variable, set where requests come in."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Asker:
    """One request, as far as the record of it goes: the actor's name and the network address.

    Each request has one of its own. Whichever thread acts for the request may touch it; requests
    do one thing after the other.
    """

    __slots__ = ("address", "name", "runs")

    def __init__(self, name: str | None, address: str | None) -> None:
        """Note who asks, None for somebody who need not say, and from where."""
        self.name = name
        self.address = address
        self.runs = 0
        """How many runs were made for it: these are recorded by themselves."""


_current: ContextVar[Asker | None] = ContextVar("labthings_asker", default=None)


def current_asker() -> Asker | None:
    """Return who asked for what this code does, or None where nobody did over the network."""
    return _current.get()


@contextmanager
def asked_by(asker: Asker) -> Iterator[Asker]:
    """Do something for a request."""
    token = _current.set(asker)
    try:
        yield asker
    finally:
        _current.reset(token)
