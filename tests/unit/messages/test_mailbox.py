from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from labthings_fastapi.messages.mailbox import Mailbox, coalescing_key
from labthings_fastapi.messages.message import Message

if TYPE_CHECKING:
    from labthings_fastapi.messages.message import MessageKind

CURRENT_INVOCATION = UUID(int=1)


class Post:
    """Puts messages with rising numbers in a mailbox, and keeps what it discards."""

    def __init__(self, capacity: int) -> None:
        self.mailbox = Mailbox(capacity)
        self.discarded: list[Message] = []
        self._number = 0

    def send(
        self, kind: MessageKind, affordance: str = "x", count: int = 1, run: UUID | None = None
    ) -> bool:
        was_empty = False
        for _ in range(count):
            self._number += 1
            message = Message(kind, "stage", affordance, b"null", invocation=run)
            message.number, message.boot_id = self._number, "abc"
            key = coalescing_key(message)
            was_empty = self.mailbox.offer(message, key, self.discarded)
        return was_empty

    def numbers(self) -> list[int]:
        return [message.number for message in self.mailbox.contents()]

    def kinds(self) -> list[str]:
        return [message.kind for message in self.mailbox.contents()]


def test_only_the_first_message_finds_the_mailbox_empty() -> None:
    post = Post(10)
    assert post.send("event")
    assert not post.send("event")


def test_a_mailbox_with_a_gap_is_not_empty() -> None:
    post = Post(10)
    post.mailbox.miss("unknown", up_to=3)
    assert post.mailbox
    assert not post.send("event")


def test_the_latest_value_of_a_property_takes_the_place_of_the_earlier() -> None:
    post = Post(10)
    post.send("property", "x")
    post.send("event")
    post.send("property", "y")
    post.send("property", "x")
    assert post.numbers() == [2, 3, 4]
    assert [message.number for message in post.discarded] == [1]


def test_progress_is_coalesced_for_each_run() -> None:
    post = Post(10)
    post.send("progress", run=CURRENT_INVOCATION)
    post.send("progress", run=UUID(int=2))
    post.send("progress", run=CURRENT_INVOCATION)
    assert post.numbers() == [2, 3]


def test_other_kinds_are_not_coalesced() -> None:
    post = Post(10)
    for kind in ("status", "log", "result", "event"):
        post.send(kind, run=CURRENT_INVOCATION, count=2)
    assert post.numbers() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_superseded_messages_are_not_missed() -> None:
    post = Post(3)
    post.send("property", count=1000)
    post.mailbox.shed(post.discarded)
    assert post.mailbox.gap is None
    assert post.numbers() == [1000]


def test_the_oldest_logs_go_first() -> None:
    post = Post(3)
    post.send("log", count=5)
    post.mailbox.shed(post.discarded)
    assert post.numbers() == [3, 4, 5]
    assert post.mailbox.gap == "slow"
    assert post.mailbox.missed == 2
    assert post.mailbox.missed_up_to == 2


def test_the_latest_value_of_a_property_outlives_logs_that_are_newer() -> None:
    post = Post(3)
    post.send("property")
    post.send("log", count=100)
    post.mailbox.shed(post.discarded)
    assert post.numbers() == [1, 100, 101]


def test_many_properties_go_at_last_too() -> None:
    post = Post(3)
    for number in range(50):
        post.send("property", f"x{number}")
    post.mailbox.shed(post.discarded)
    assert post.numbers() == [48, 49, 50]
    assert post.mailbox.missed == 47


def test_status_and_events_are_kept_beyond_the_capacity() -> None:
    post = Post(3)
    for _ in range(6):
        post.send("status", run=CURRENT_INVOCATION)
        post.send("log", run=CURRENT_INVOCATION, count=10)
        post.send("event")
    post.mailbox.shed(post.discarded)
    assert post.kinds() == ["status", "event"] * 6
    assert post.mailbox.missed == 60


def test_a_mailbox_never_holds_many_more_than_its_capacity() -> None:
    post = Post(10)
    for _ in range(500):
        post.send("log")
        post.send("result")
        assert len(post.numbers()) <= 30


def test_ten_times_the_capacity_of_events_still_fits() -> None:
    post = Post(3)
    post.send("event", count=30)
    assert not post.mailbox.full
    post.send("event")
    assert post.mailbox.full


def test_logs_alone_never_fill_a_mailbox() -> None:
    post = Post(3)
    post.send("event", count=29)
    post.send("log", count=1000)
    assert not post.mailbox.full


def test_how_many_were_missed_stays_unknown_once_it_is() -> None:
    post = Post(1)
    post.mailbox.miss("expired", up_to=0)
    post.send("log", count=10)
    post.mailbox.shed(post.discarded)
    assert post.mailbox.missed is None
    assert post.mailbox.gap == "expired"


def test_progress_outside_a_run_is_not_coalesced() -> None:
    post = Post(10)
    post.send("progress", count=2)
    assert post.numbers() == [1, 2]
