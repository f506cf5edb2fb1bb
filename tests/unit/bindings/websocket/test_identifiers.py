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
    return Message("event", "stage", "arrived", b"1", number=number, boot_id="here")


@given(st.integers(0, 2**44 - 1), st.integers(0, 2**30 - 1))
def test_the_number_can_be_read_again(number, subscription):
    id = IDS.id_of(numbered(number), subscription)
    assert (uuid.UUID(id).version, uuid.UUID(id).variant) == (4, uuid.RFC_4122)
    assert IDS.seq_of(id) == IDS.seq_of(id.upper()) == f"here-{number}"


@given(st.text())
def test_a_text_that_is_no_id_is_returned_unchanged(text):
    assert IDS.seq_of(text) == text


@given(st.sets(st.integers(0, 2**30 - 1), min_size=2, max_size=2))
def test_two_subscriptions_have_two_ids_for_one_message(subscriptions):
    first, second = subscriptions
    assert IDS.id_of(numbered(5), first) != IDS.id_of(numbered(5), second)


def test_no_two_subscriptions_of_a_server_have_the_same_number():
    assert IDS.new_subscription() != IDS.new_subscription()


def test_an_id_of_an_earlier_release_is_understood():
    digest = IDS.id_of(numbered(5), 1)[:13]
    assert IDS.seq_of(f"{digest}-8001-8000-00000000002a") == "here-42"


def test_an_id_from_before_a_restart_gives_an_unknown_sequence_number():
    other = NotificationIds(Broker("there")).id_of(numbered(5), 1)
    assert not IDS.seq_of(other).startswith("here-")
