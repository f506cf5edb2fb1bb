from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from labthings_fastapi.messages.message import FINAL_STATUSES, InvocationStatus, Message


def test_statuses_have_the_five_words_of_the_wire() -> None:
    words = [status.value for status in InvocationStatus]
    assert words == ["pending", "running", "completed", "cancelled", "error"]


def test_a_run_can_still_change_in_pending_and_running_only() -> None:
    still_open = set(InvocationStatus) - FINAL_STATUSES
    assert still_open == {InvocationStatus.PENDING, InvocationStatus.RUNNING}


def test_a_message_has_no_sequence_number_before_it_is_published() -> None:
    assert Message("event", "stage", "homed", b"null").seq == ""


def test_the_sequence_number_names_the_incarnation() -> None:
    assert Message("event", "stage", "homed", b"null").numbered("abc", 7).seq == "abc-7"


def test_time_is_aware_utc() -> None:
    assert Message("event", "stage", "homed", b"null").time.utcoffset() == timedelta(0)


def test_numbering_changes_nothing_else() -> None:
    message = Message("status", "stage", "move", b"{}", object(), uuid4(), final=True)
    numbered = message.numbered("abc", 7)
    assert numbered.value is message.value
    assert numbered.numbered("", 0) == message


def test_without_its_value_a_message_is_still_equal() -> None:
    message = Message("property", "stage", "x", b"1", value=1).numbered("abc", 7)
    assert message.without_value() == message
    assert message.without_value().value is None


def test_values_that_cannot_be_compared_do_not_break_comparison() -> None:
    class Incomparable:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise TypeError("the truth of an array is ambiguous")

    message = Message("property", "camera", "frame", b"[1]", value=Incomparable())
    assert message == message.numbered("", 0)
