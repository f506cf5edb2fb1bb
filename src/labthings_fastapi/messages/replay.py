"""The latest messages, for subscribers that were away for a moment."""

from __future__ import annotations

from collections import deque
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from .draft import Draft

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .draft import WaitingDraft
    from .mailbox import Waiting
    from .message import Message

T = TypeVar("T")


# Without a step of Python for each: every line that a run logs passes here twice.


def _taken(entries: deque[T], count: int) -> Iterator[T]:
    """Take the first so many away; nothing in a deque of ours is None."""
    return islice(iter(entries.popleft, None), count)


def _total(entries: Iterable[tuple[Any, ...]]) -> int:
    """Return the size of them all."""
    return sum(map(itemgetter(0), entries))


class ReplayBuffer:
    """The newest published messages, without their Python values, bounded by number and bytes.

    Not thread-safe: the owner's lock guards it.
    """

    __slots__ = ("_boot_id", "_bytes", "_entries", "_max_bytes", "_max_messages", "forgotten")

    def __init__(self, max_messages: int, max_bytes: int, boot_id: str = "") -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._boot_id = boot_id
        # Each with its size; a number tells the place of each, as there are no holes.
        self._entries: deque[tuple[int, Message] | WaitingDraft] = deque()
        self._bytes = 0  # of payload
        self.forgotten = 0
        """The number of the newest message that is no longer here."""

    def append(self, message: Message) -> None:
        """Remember a message, whose number must follow the one before; forget the oldest."""
        self._add((len(message.payload), message.without_value()))

    def append_draft(self, draft: WaitingDraft) -> None:
        """Remember a draft, as `append` does a message."""
        self._add(draft)

    def _add(self, entry: tuple[int, Message] | WaitingDraft) -> None:
        self._entries.append(entry)
        self._bytes += entry[0]
        self._forget()

    def append_drafts(self, drafts: deque[WaitingDraft]) -> int:
        """Remember all these drafts and take them away; return how many there were."""
        taken = list(_taken(drafts, len(drafts)))
        self._entries.extend(taken)
        self._bytes += _total(taken)
        self._forget()
        return len(taken)

    def _forget(self) -> None:
        entries = self._entries
        excess = len(entries) - self._max_messages
        if excess > 0:
            gone = list(_taken(entries, excess))
            self.forgotten += excess  # before they go, and perhaps call a finaliser that subscribes
            self._bytes -= _total(gone)
        while self._bytes > self._max_bytes:
            self.forgotten += 1  # as above
            self._bytes -= entries.popleft()[0]

    def since(self, number: int) -> list[Waiting]:
        """Return what is remembered of the messages after that number, oldest first."""
        known = max(number, self.forgotten)
        found = islice(self._entries, known - self.forgotten, None)
        return [
            entry[1] if len(entry) == 2 else Draft(entry, self._boot_id, follower)
            for follower, entry in enumerate(found, start=known + 1)
        ]
