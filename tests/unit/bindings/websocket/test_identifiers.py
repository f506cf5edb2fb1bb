"""Ids of notifications, and the sequence numbers in them."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from labthings_fastapi.bindings.websocket.identifiers import NotificationIds
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message

IDS = NotificationIds(Broker("here"))


def numbered(number):
    return Message("event", "stage", "arrived", b"1").numbered("here", number)


@given(st.integers(0, 2**62 - 1), st.integers(0, 10_000))
def test_the_number_can_be_read_again(number, subscription):
    id = IDS.write(numbered(number), subscription)
    assert (uuid.UUID(id).version, uuid.UUID(id).variant) == (8, uuid.RFC_4122)
    assert IDS.read(id) == IDS.read(id.upper()) == f"here-{number}"


@given(st.text())
def test_what_is_no_id_is_left_as_it_is(text):
    assert IDS.read(text) == text


def test_two_subscriptions_have_two_ids_for_one_message():
    assert IDS.write(numbered(5), 1) != IDS.write(numbered(5), 2)


def test_an_id_of_another_life_is_one_that_the_broker_does_not_know():
    id = NotificationIds(Broker("there")).write(numbered(5), 1)
    assert not IDS.read(id).startswith("here-")
