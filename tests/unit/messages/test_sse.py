from __future__ import annotations

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labthings_fastapi.client.sse import EventParser, ServerSentEvent, parse
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.stream import COMMENT, encode


def message(payload: bytes = b"1", affordance: str = "x") -> Message:
    return Message("property", "stage", affordance, payload, number=7, boot_id="abc")


# Writing


def test_a_property_is_named_by_its_affordance() -> None:
    found = message()
    time = found.time.isoformat().encode()
    assert encode(found) == b"event: x\nid: abc-7\ntime: %b\ndata: 1\n\n" % time


def test_a_change_of_a_run_is_named_by_its_kind() -> None:
    status = Message(
        *("status", "stage", "move", b"{}"), invocation=UUID(int=1), number=8, boot_id="abc"
    )
    assert encode(status) == b"event: status\nid: abc-8\ndata: {}\n\n"


def test_the_name_can_be_chosen() -> None:
    assert encode(message(), event="stage/x").startswith(b"event: stage/x\n")


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
def test_each_line_of_the_payload_is_a_line_of_data(line_end: bytes) -> None:
    encoded = encode(message(b"[1," + line_end + b"2]"))
    assert encoded.endswith(b"data: [1,\ndata: 2]\n\n")


def test_a_line_end_in_a_name_begins_no_field() -> None:
    encoded = encode(message(affordance="x\ndata: evil"))
    assert [event.data for event in EventParser().feed(encoded)] == ["1"]


# Reading


def test_keep_alive_comments_are_no_events() -> None:
    assert EventParser().feed(COMMENT) == []


@pytest.mark.parametrize(
    ("lines", "events"),
    [
        (["data: a", ""], [ServerSentEvent(data="a")]),
        (["data:a", "data:  b", ""], [ServerSentEvent(data="a\n b")]),
        (["data", ""], [ServerSentEvent(data="")]),
        (["event: x", ""], []),
        (["event: x", "", "data: a", ""], [ServerSentEvent(data="a")]),
        (["data: a"], []),
        ([": comment", "data: a", "unknown: b", ""], [ServerSentEvent(data="a")]),
        (["\ufeffdata: a", ""], [ServerSentEvent(data="a")]),
        (["id: 1", "data: a", "", "data: b", ""], [
            ServerSentEvent(data="a", id="1"),
            ServerSentEvent(data="b", id="1"),
        ]),
        (["id: 1", "id: 2\0", "data: a", ""], [ServerSentEvent(data="a", id="1")]),
        (["id: 1", "data: a", "", "id", "data: b", ""], [
            ServerSentEvent(data="a", id="1"),
            ServerSentEvent(data="b"),
        ]),
    ],
)  # fmt: skip
def test_lines_are_parsed_as_in_the_standard(
    lines: list[str], events: list[ServerSentEvent]
) -> None:
    assert list(parse(lines)) == events


def test_the_id_counts_only_once_its_event_has_ended() -> None:
    """A connection lost in the middle of an event must ask for this event again."""
    parser = EventParser()
    parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert parser.last_event_id == "1"
    parser.feed(b"\n")
    assert parser.last_event_id == "2"


@pytest.mark.parametrize(
    ("line", "retry"),
    [("retry: 1500", 1500), ("retry: soon", None), ("retry: " + "9" * 5000, None)],
)
def test_the_time_to_wait_before_reconnecting_is_read(line: str, retry: int | None) -> None:
    parser = EventParser()
    parser.feed_line(line)
    assert parser.retry == retry


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
)


@given(st.lists(json_values, max_size=4), st.data())
def test_what_is_written_is_read_again_however_it_is_cut(
    values: list[object], data: st.DataObject
) -> None:
    payloads = [json.dumps(value, ensure_ascii=data.draw(st.booleans())) for value in values]
    messages = [message(text.encode("utf-8", "replace")) for text in payloads]
    stream = COMMENT.join([b"", *map(encode, messages)])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    parser = EventParser()
    events = [
        event
        for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for event in parser.feed(stream[start:stop])
    ]
    expected = [ServerSentEvent("x", m.payload.decode(), "abc-7") for m in messages]
    assert events == expected


@given(st.lists(st.binary(max_size=20)))
def test_no_bytes_break_the_reader(chunks: list[bytes]) -> None:
    whole, piecewise = EventParser(), EventParser()
    events = [event for chunk in chunks for event in piecewise.feed(chunk)]
    assert events == whole.feed(b"".join(chunks))


@given(st.lists(st.sampled_from([b"data: a", b"\n", b"\r", b"\r\n", b""])))
def test_line_ends_may_be_cut_in_two(chunks: list[bytes]) -> None:
    whole, piecewise = EventParser(), EventParser()
    stream = b"".join(chunks)
    events = [event for byte in stream for event in piecewise.feed(bytes([byte]))]
    assert events == whole.feed(stream)
