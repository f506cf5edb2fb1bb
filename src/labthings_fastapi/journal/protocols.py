"""What the routes of the journal need of other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from .journal import Journal

T = TypeVar("T")


class App(Protocol):
    """A FastAPI app, for packages that import no web framework."""

    def include_router(self, router: Any, *, prefix: str = "") -> None:
        """Add routes."""


class AsyncJournal(Protocol):
    """A journal that an event loop can read: a `JournalReader`."""

    async def read(self, query: Callable[[Journal], T]) -> T:
        """Return `query(journal)`, called on a thread."""
