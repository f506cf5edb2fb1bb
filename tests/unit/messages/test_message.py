from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.message import InvocationStatus, Message


def test_statuses_have_the_five_words_of_the_wire() -> None:
    words = [status.value for status in InvocationStatus]
    assert words == ["pending", "running", "completed", "cancelled", "error"]


def test_an_invocation_can_still_change_in_pending_and_running_only() -> None:
    records = [
        InvocationRecord(uuid4(), "stage", "move", status, None, b"{}", datetime.now(UTC))
        for status in InvocationStatus
    ]
    still_open = {record.status for record in records if record.is_open}
    assert still_open == {InvocationStatus.PENDING, InvocationStatus.RUNNING}


def test_a_message_has_no_sequence_number_before_it_is_published() -> None:
    assert Message("event", "stage", "homed", b"null").seq == ""


def test_the_sequence_number_names_the_boot_id() -> None:
    assert Message("event", "stage", "homed", b"null", number=7, boot_id="abc").seq == "abc-7"


def test_time_is_aware_utc() -> None:
    assert Message("event", "stage", "homed", b"null").time.utcoffset() == timedelta(0)


def full_message(payload: object = b"{}") -> Message:
    return Message(
        *("status", "stage", "move", payload, object(), uuid4()),  # type: ignore[arg-type]
        final=True,
        number=7,
        boot_id="abc",
    )


def test_without_its_value_a_message_is_still_equal() -> None:
    message = full_message()
    assert message.without_value() == message
    assert message.without_value().value is None


def test_another_payload_changes_nothing_else() -> None:
    message = full_message()
    changed = message.with_payload(b'{"a":1}')
    assert (changed.payload, changed.size, changed.value) == (b'{"a":1}', 7, None)
    assert changed.with_payload(message.payload) == message


def test_a_payload_is_rendered_when_it_is_first_read_and_only_once() -> None:
    rendered: list[str] = []

    def render() -> bytes:
        rendered.append("rendered")
        return b"[1]"

    message = Message("log", "stage", "move", render, size=100)
    assert rendered == []
    assert (message.payload, message.payload) == (b"[1]", b"[1]")
    assert rendered == ["rendered"]


def test_the_size_is_the_payloads_or_what_the_publisher_estimates() -> None:
    assert full_message(b"12345").size == 5
    lazy = Message("log", "stage", "move", lambda: b"1", value=1, size=100)
    assert (lazy.size, lazy.without_value().size) == (100, 100)


def test_values_that_cannot_be_compared_do_not_break_comparison() -> None:
    class Incomparable:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise TypeError("the truth of an array is ambiguous")

    message = Message("property", "camera", "frame", b"[1]", value=Incomparable())
    assert message == message.without_value()
    assert hash(message) == hash(message.without_value())


@pytest.mark.parametrize("other", [full_message(b"[]"), "a message", None])
def test_messages_that_differ_are_not_equal(other: object) -> None:
    assert full_message() != other
