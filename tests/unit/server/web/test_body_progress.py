"""How late a body is, and how much of it is no body, by a clock that the test sets."""

from __future__ import annotations

from labthings_fastapi.server.web.body_progress import BodyProgress, declared_length
from labthings_fastapi.server.web.connection_limits import Limits

LIMITS = Limits()


def waited(progress: BodyProgress, seconds: range, *, counts: bool = True) -> BodyProgress:
    for second in seconds:
        progress.note_time(float(second), counts=counts)
    return progress


def test_a_small_body_has_ten_seconds_whatever_has_come_of_it() -> None:
    progress = BodyProgress(LIMITS.small_body_bytes)
    progress.note_body(LIMITS.small_body_bytes - 1)
    assert not waited(progress, range(11)).is_late(LIMITS)
    assert waited(progress, range(11, 12)).is_late(LIMITS)


def test_a_large_body_has_a_least_rate_after_thirty_seconds() -> None:
    for declared in (None, LIMITS.small_body_bytes + 1):
        progress = BodyProgress(declared)
        assert not waited(progress, range(31)).is_late(LIMITS)
        assert waited(progress, range(31, 32)).is_late(LIMITS)
        progress.note_body(2000)
        assert not progress.is_late(LIMITS)


def test_the_time_in_which_the_app_does_not_read_does_not_count() -> None:
    assert not waited(BodyProgress(1), range(1000), counts=False).is_late(LIMITS)


def test_the_time_of_an_event_loop_that_was_held_up_does_not_count() -> None:
    progress = BodyProgress(1)
    progress.note_time(0.0, counts=True)
    progress.note_time(1000.0, counts=True)
    assert not progress.is_late(LIMITS)


def test_the_frames_of_small_chunks_are_allowed_and_other_bytes_are_counted() -> None:
    progress = BodyProgress()
    for _ in range(100_000):  # chunks of one byte
        progress.note_received(6)
        progress.note_chunk()
        progress.note_body(1)
    assert not progress.has_excess(64 * 1024)
    progress.note_received(64 * 1024)
    assert not progress.has_excess(64 * 1024)
    progress.note_received(1)
    assert progress.has_excess(64 * 1024)


def test_extensions_of_chunks_are_counted_although_each_is_small() -> None:
    progress = BodyProgress()
    for _ in range(10):
        progress.note_received(10_000)
        progress.note_chunk()
        progress.note_body(1)
    assert progress.has_excess(64 * 1024)


def test_the_length_of_a_body_in_chunks_is_not_known() -> None:
    assert declared_length([(b"host", b"a"), (b"content-length", b"17")]) == 17
    assert declared_length([(b"transfer-encoding", b"chunked")]) is None
