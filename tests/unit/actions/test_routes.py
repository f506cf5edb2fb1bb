"""What the HTTP endpoints of invocations do besides routing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from labthings_fastapi.actions.routes import _InvocationStream, honour_prefer, wait_seconds
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.stream import MessageStream, encode
from labthings_fastapi.messages.topic import Topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from labthings_fastapi.actions import ActionManager, Invocation

    from .conftest import Bench


async def events_of(
    invocation: Invocation, manager: ActionManager, after: str | None
) -> AsyncIterator[bytes]:
    """Yield what the response streams."""
    response = _InvocationStream(invocation, manager, after)
    with MessageStream(manager.broker, Topic(invocation=invocation.id), after) as messages:
        async for event in response._events(messages):
            yield event


# --- `Prefer: wait` as clients write it (RFC 7240) ------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("respond-async", None),
        ("wait=5", 5),
        ("wait=0", 0),
        ("Wait=5", 5),
        ('wait="7"', 7),
        ("wait = 5", 5),
        ("respond-async, wait=10", 10),
        ("wait=10, respond-async", 10),
        ("return=minimal; foo=bar, wait=3", 3),
        ("wait=3;x=y", 3),
        ("wait=60", 60),
        ("wait=61", 60),
        ("wait=999999999", 60),
        ("wait", 2.5),
        ("respond-async, wait", 2.5),
        ("wait=soon", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("await=5", None),
        ("no-wait=5", None),
        ("wait=5, wait=9", 5),
    ],
)
def test_the_seconds_that_a_header_asks_to_wait(header: str | None, seconds: float | None) -> None:
    assert wait_seconds(header, 2.5) == seconds


def test_the_time_that_an_action_sets_is_bounded_too() -> None:
    assert wait_seconds("wait", 1e6) == 60


@pytest.mark.parametrize(
    ("header", "applied"),
    [
        ("wait=5", {"Preference-Applied": "wait=5"}),
        ("wait", {"Preference-Applied": "wait=0.5"}),
        ("respond-async", {}),
        (None, {}),
    ],
)
def test_the_answer_says_which_preference_was_applied(
    run: Callable[..., Invocation], header: str | None, applied: dict[str, str]
) -> None:
    assert asyncio.run(honour_prefer(run(lambda: None), header, 0.5)) == applied


def test_waiting_ends_when_the_invocation_ends(holding: Invocation, thing: Bench) -> None:
    async def answer() -> dict[str, str]:
        waiting = asyncio.create_task(honour_prefer(holding, "wait=60", 0.5))
        await asyncio.sleep(0)  # let it begin to wait
        assert not waiting.done()
        thing.gate.set()
        return await waiting

    assert asyncio.run(answer()) == {"Preference-Applied": "wait=60"}
    assert holding.output == "held"


def test_a_time_of_zero_does_not_wait(holding: Invocation) -> None:
    asyncio.run(honour_prefer(holding, "wait=0", 0.5))
    assert holding.snapshot().is_open


# --- the stream of an invocation ----------------------------------------------------------


def test_a_stream_that_is_ended_while_its_client_is_slow_gives_what_waits(
    manager: ActionManager, holding: Invocation
) -> None:
    message = Message("result", "Bench", "hold", b"{}", invocation=holding.id)

    async def given() -> list[bytes]:
        stream = events_of(holding, manager, None)
        assert b"event: status" in await anext(stream)
        # Meanwhile the client reads, and the server stops.
        manager.broker.publish(message)
        manager.broker.end_streams()
        return [event async for event in stream]

    assert asyncio.run(given()) == [encode(message)]


def test_the_stream_of_an_ended_invocation_is_its_last_status(
    manager: ActionManager, run: Callable[..., Invocation]
) -> None:
    async def given() -> list[bytes]:
        return [event async for event in events_of(run(lambda: 5), manager, None)]

    (event,) = asyncio.run(given())
    assert event.startswith(b"event: status\n")
    assert b'"status":"completed"' in event


def test_the_end_is_told_after_all_that_was_missed(
    manager: ActionManager, run: Callable[..., Invocation]
) -> None:
    invocation = run(lambda: 5)
    after_the_end = manager.broker.position
    late = Message("result", "Bench", "call", b"{}", invocation=invocation.id)
    manager.broker.publish(late)

    async def given() -> list[bytes]:
        return [event async for event in events_of(invocation, manager, after_the_end)]

    missed, end = asyncio.run(given())
    assert missed == encode(late)
    assert b'"status":"completed"' in end


def test_a_stream_goes_on_until_the_final_status(
    manager: ActionManager, holding: Invocation, thing: Bench
) -> None:
    async def given() -> list[bytes]:
        stream = events_of(holding, manager, None)
        first = await anext(stream)
        thing.gate.set()
        return [first, *[event async for event in stream]]

    first, *rest = asyncio.run(given())
    assert b'"status":"running"' in first
    assert b'"status":"completed"' in rest[-1]


def test_a_client_that_comes_back_gets_what_it_missed_and_no_more(
    manager: ActionManager, run: Callable[..., Invocation]
) -> None:
    position = manager.broker.position
    invocation = run(lambda: 5)

    async def given() -> list[bytes]:
        return [event async for event in events_of(invocation, manager, position)]

    events = asyncio.run(given())
    assert [event.startswith(b"event: status\nid: ") for event in events] == [True] * 3
    assert b'"status":"completed"' in events[-1]
