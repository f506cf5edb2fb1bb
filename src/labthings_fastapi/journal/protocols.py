"""What the web code of this room needs to know of others: two small Protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from .journal import Journal

T = TypeVar("T")


class App(Protocol):
    """A FastAPI app, for rooms that know no web framework."""

    def include_router(self, router: Any, *, prefix: str = "") -> None:
        """Add routes."""


class Records(Protocol):
    """The journal for an event loop: a `JournalReader`."""

    async def ask(self, do: Callable[[Journal], T]) -> T:
        """Return what `do` makes of the journal; it may wait for a disk."""
