from __future__ import annotations

import pytest

from labthings_fastapi.messages.mailbox import ReplayBuffer
from labthings_fastapi.messages.message import Message


def filled(buffer: ReplayBuffer, count: int, payload: bytes = b"1") -> ReplayBuffer:
    for number in range(1, count + 1):
        buffer.append(Message("property", "stage", "x", payload, number, number=number))
    return buffer


def numbers(messages: list[Message]) -> list[int]:
    return [message.number for message in messages]


def test_everything_after_a_number_is_replayed_in_order() -> None:
    buffer = filled(ReplayBuffer(10, 1000), 5)
    assert numbers(buffer.since(0)) == [1, 2, 3, 4, 5]
    assert numbers(buffer.since(3)) == [4, 5]
    assert numbers(buffer.since(5)) == []


def test_the_oldest_are_dropped_and_the_newest_dropped_number_is_known() -> None:
    buffer = filled(ReplayBuffer(3, 1000), 5)
    assert numbers(buffer.since(0)) == [3, 4, 5]
    assert numbers(buffer.since(4)) == [5]
    assert buffer.forgotten == 2


def test_large_payloads_push_out_more() -> None:
    buffer = filled(ReplayBuffer(100, 10), 5, b"12345")
    assert numbers(buffer.since(0)) == [4, 5]


def test_a_payload_larger_than_the_buffer_is_not_kept() -> None:
    buffer = filled(ReplayBuffer(100, 10), 1, b"x" * 11)
    assert buffer.since(0) == []
    assert buffer.forgotten == 1


def test_a_buffer_of_no_size_keeps_nothing() -> None:
    buffer = filled(ReplayBuffer(0, 0), 3)
    assert buffer.since(0) == []
    assert buffer.forgotten == 3


def test_python_values_are_not_kept_alive() -> None:
    buffer = filled(ReplayBuffer(10, 1000), 2)
    assert [message.value for message in buffer.since(0)] == [None, None]


class Replays:
    """A payload that reads the kept messages when it is released, as a finaliser might."""

    def __init__(self, buffer: ReplayBuffer, seen: list[list[int]]) -> None:
        self.buffer = buffer
        self.seen = seen

    def __call__(self) -> bytes:
        return b"1"

    def __del__(self) -> None:
        self.seen.append(numbers(self.buffer.since(0)))


@pytest.mark.parametrize(("messages", "size"), [(2, 1000), (100, 10)])
def test_a_finaliser_that_replays_while_messages_are_dropped_gets_what_is_left(
    messages: int, size: int
) -> None:
    seen: list[list[int]] = []
    buffer = ReplayBuffer(messages, size)
    for number in range(1, 5):
        payload = Replays(buffer, seen)
        buffer.append(Message("log", "stage", "x", payload, number=number, size=5))
    del payload
    assert seen == [[2, 3], [3, 4]]


def test_the_size_that_a_message_estimates_counts_and_nothing_is_rendered() -> None:
    def never() -> bytes:
        raise AssertionError("nobody reads it")

    buffer = ReplayBuffer(100, 100)
    for number in range(1, 6):
        buffer.append(Message("log", "stage", "x", never, number=number, size=40))
    assert numbers(buffer.since(0)) == [4, 5]
