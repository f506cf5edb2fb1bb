"""A stream that ends leaves a trace, unless its client has gone."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from labthings_fastapi.bindings.http.observing import Observed
from labthings_fastapi.bindings.http.request_response import ClientGoneError, HttpResponse
from labthings_fastapi.bindings.http.streams import stream
from labthings_fastapi.messages.broker import Broker, Subscription
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.server.access.authenticated_connections import CredentialRevokedError


async def run_stream(*, sending=None, receiving=None):
    """Stream to a client; sending to it, or hearing of it, raises an error."""

    async def send(message):
        if message["type"] == "http.response.body" and sending is not None:
            raise sending

    async def receive():
        if receiving is None:
            await asyncio.Event().wait()
        if isinstance(receiving, Exception):
            raise receiving
        return receiving

    scope = {"type": "http", "method": "GET", "headers": []}
    broker = Broker()
    streaming = asyncio.create_task(
        stream(HttpResponse(scope, receive, send, "/stage/events"), broker, Topic())
    )
    await asyncio.sleep(0)
    broker.close()
    await asyncio.wait_for(streaming, 30)


@pytest.mark.parametrize("how", ["sending", "receiving"])
def test_what_a_stream_fails_with_is_in_the_log_with_its_path(how, caplog):
    asyncio.run(run_stream(**{how: ValueError("no such encoding")}))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "/stage/events" in record.getMessage()
    assert "no such encoding" in str(record.exc_info[1])


@pytest.mark.parametrize(
    "ending",
    [
        {},
        {"sending": BrokenPipeError()},
        {"sending": CredentialRevokedError()},
        {"sending": ClientGoneError()},
        {"receiving": {"type": "http.disconnect"}},
    ],
)
def test_the_ordinary_end_of_a_stream_is_not(ending, caplog):
    asyncio.run(run_stream(**ending))
    assert caplog.records == []


@pytest.mark.parametrize("way", ["stream", "poll"])
def test_what_comes_just_before_the_broker_closes_is_sent(way, monkeypatch):
    broker, take, sent = Broker(), Subscription.take, []

    def say_goodbye():
        broker.publish(Message("event", "stage", "done", b"42"))
        broker.close()

    def take_before_the_end(subscription):
        messages = take(subscription)
        monkeypatch.setattr(Subscription, "take", take)
        ending = threading.Thread(target=say_goodbye)
        ending.start()
        ending.join(30)
        return messages

    async def send(message):
        sent.append(message.get("body", b""))

    async def receive():
        await asyncio.Event().wait()

    monkeypatch.setattr(Subscription, "take", take_before_the_end)
    scope = {"type": "http", "method": "GET", "headers": [], "client": ("127.0.0.1", 1)}
    response = HttpResponse(scope, receive, send, "/stage/done")
    observed = Observed(broker, "stage", frozenset({"event"}), "done")
    asyncio.run(asyncio.wait_for(getattr(observed, way)(response), 30))
    assert b"42" in b"".join(sent)
