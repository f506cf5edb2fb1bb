from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labthings_fastapi.exceptions import RequestError
from labthings_fastapi.journal.query import JournalQuery, decode_cursor, encode_cursor
from labthings_fastapi.journal.record import (
    OUTPUT_LIMIT,
    InvocationRecord,
    searchable_text,
    stored_output,
)
from labthings_fastapi.messages.message import InvocationStatus

RECORD = InvocationRecord(
    id=UUID(int=1),
    thing="Stage",
    action="move",
    status=InvocationStatus.RUNNING,
    requested_by="ada",
    input=b'{"x":1}',
    time_requested=datetime(2024, 5, 17, tzinfo=UTC),
)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def naive(name: str) -> dict[str, Any]:
    return {name: datetime(2024, 5, 17)}  # noqa: DTZ001


@pytest.mark.parametrize("status", InvocationStatus)
def test_an_invocation_is_open_until_it_has_ended(status: InvocationStatus) -> None:
    unended = {InvocationStatus.PENDING, InvocationStatus.RUNNING}
    assert replace(RECORD, status=status).is_open == (status in unended)


@pytest.mark.parametrize("name", ["time_requested", "time_started", "time_ended"])
def test_a_time_without_a_zone_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=f"{name} is 2024.*no time zone"):
        replace(RECORD, **naive(name))


# Outputs


def test_an_output_up_to_the_limit_is_kept() -> None:
    output = b"x" * OUTPUT_LIMIT
    assert stored_output(output) == (output, None)


def test_of_a_larger_output_the_size_is_kept() -> None:
    size = OUTPUT_LIMIT + 1
    assert stored_output(b"x" * size) == (None, {"size": size, "media_type": "application/json"})


def test_of_a_binary_output_size_and_type_are_kept() -> None:
    assert stored_output(b"\x89PNG", "image/png") == (None, {"size": 4, "media_type": "image/png"})


# Queries


@pytest.mark.parametrize("name", ["since", "until"])
def test_a_query_needs_times_with_a_zone(name: str) -> None:
    with pytest.raises(RequestError, match=f"{name} is 2024.*no time zone"):
        JournalQuery(**naive(name))


def test_a_page_of_no_runs_is_refused() -> None:
    with pytest.raises(RequestError, match="limit is 0"):
        JournalQuery(limit=0)


def test_a_query_without_filters_matches_everything() -> None:
    assert JournalQuery().matches(RECORD)


@pytest.mark.parametrize("payload", [b"\xff not JSON", b"[" * 100_000, b"1" * 5000])
def test_payloads_that_cannot_be_parsed_are_searched_as_they_are(payload: bytes) -> None:
    assert payload.decode("utf-8", "replace").casefold() in searchable_text(
        replace(RECORD, input=payload)
    )


def test_searchable_text_can_always_be_encoded() -> None:
    text = searchable_text(replace(RECORD, input=b'"\\ud800"', log=({"message": "\udfff"},)))
    assert text.encode("utf-8")


# Cursors


@given(st.datetimes(timezones=zones, allow_imaginary=False), st.uuids())
def test_a_cursor_has_the_sort_key_of_its_record(time: datetime, id: UUID) -> None:
    record = replace(RECORD, id=id, time_requested=time)
    assert decode_cursor(encode_cursor(record.sort_key)) == record.sort_key


@given(st.text())
def test_any_text_is_a_cursor_or_a_clear_error(text: str) -> None:
    try:
        time, _ = decode_cursor(text)
    except RequestError as error:
        assert "next_cursor" in str(error)  # noqa: PT017
    else:
        assert time.utcoffset() is not None


def test_a_cursor_fits_in_a_url_as_it_is() -> None:
    assert encode_cursor(RECORD.sort_key).replace("-", "").replace("_", "").isalnum()
