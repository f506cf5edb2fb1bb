"""The loop that every stream shares."""

from __future__ import annotations

import asyncio
import threading

import pytest

from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.stream import MessageStream
from labthings_fastapi.messages.topic import Topic


@pytest.fixture
def broker() -> Broker:
    return Broker("abc")


def event() -> Message:
    return Message("event", "stage", "homed", b"null")


async def collected(stream: MessageStream) -> list[int]:
    return [message.number async for batch in stream for message in batch]


def test_messages_from_another_thread_come_in_order_until_the_broker_closes(
    broker: Broker,
) -> None:
    def publish() -> None:
        for _ in range(100):
            broker.publish(event())
        broker.close()

    async def run() -> list[int]:
        with MessageStream(broker, Topic()) as stream:
            publisher = threading.Thread(target=publish)
            publisher.start()
            numbers = await collected(stream)
        publisher.join()
        return numbers

    assert asyncio.run(run()) == list(range(1, 101))


def test_a_stream_subscribes_when_it_is_made_and_replays_what_was_missed(broker: Broker) -> None:
    async def run() -> list[int]:
        broker.publish(event())
        broker.publish(event())
        with MessageStream(broker, Topic(), "abc-1") as stream:
            broker.publish(event())
            broker.close()
            return await collected(stream)

    assert asyncio.run(run()) == [2, 3]


def test_leaving_the_context_closes_the_subscription(broker: Broker) -> None:
    async def run() -> list[int]:
        with MessageStream(broker, Topic()) as stream:
            pass
        assert stream.subscription.closed
        return await collected(stream)

    assert asyncio.run(run()) == []


def test_without_messages_empty_batches_request_a_keep_alive(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labthings_fastapi.messages.stream.KEEP_ALIVE_SECONDS", 0.001)

    async def run() -> list[list[Message]]:
        with MessageStream(broker, Topic()) as stream:
            return [await anext(aiter(stream)) for _ in range(2)]

    assert asyncio.run(run()) == [[], []]
