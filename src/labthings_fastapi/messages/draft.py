"""Messages that are written only once somebody reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .topic import Subject

if TYPE_CHECKING:
    from uuid import UUID

    from .message import Message, MessageKind


class Author(Subject, Protocol):
    """Writes the drafts that it has published, if anybody wants to read them."""

    def write(self, *content: Any, **_: Any) -> Message:
        """Return the message that a draft stands for, given what follows the author in it.

        Called on the reader's thread; runs no user code.
        """


WaitingDraft: TypeAlias = tuple[Any, ...]
"""About how many bytes of JSON it will be, its author, and what that writes it from: at least one
thing more."""


class Draft:
    """A published message that has been read by nobody yet.

    Immutable, so every thread may have it written.
    """

    __slots__ = ("_author", "_content", "boot_id", "number")

    def __init__(self, draft: WaitingDraft, boot_id: str, number: int) -> None:
        """Number a draft."""
        self._author: Author = draft[1]
        self._content = draft[2:]
        self.boot_id = boot_id
        self.number = number

    @property
    def kind(self) -> MessageKind:
        """The kind of the message."""
        return self._author.kind

    @property
    def thing(self) -> str:
        """The Thing that it is about."""
        return self._author.thing

    @property
    def affordance(self) -> str:
        """The affordance that it is about."""
        return self._author.affordance

    @property
    def invocation(self) -> UUID | None:
        """The run that it is about."""
        return self._author.invocation

    def written(self) -> Message:
        """Return the message itself."""
        return self._author.write(*self._content).numbered(self.boot_id, self.number)
