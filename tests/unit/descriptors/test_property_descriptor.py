"""The older way to declare a property."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

import labthings_fastapi as lt
from labthings_fastapi.descriptors import PropertyDescriptor
from labthings_fastapi.messages.topic import Topic


class Old(lt.Thing):
    count = PropertyDescriptor(int, 1, observable=True, description="How many.")
    fixed = PropertyDescriptor(list[int], [1], readonly=True)
    computed = PropertyDescriptor(int, getter=lambda self: self.count * 2)

    @computed.setter
    def computed(self, value):
        self.count = value // 2


def test_it_is_checked_kept_and_published():
    thing = Old()
    with thing._thing_server_interface.broker.subscribe(Topic()) as subscription:
        thing.count = "5"
        assert (thing.count, [m.payload for m in subscription.take()]) == (5, [b"5"])
    with pytest.raises(ValidationError):
        thing.count = "five"
    assert thing.count == 5


def test_an_initial_value_is_shared_with_nobody():
    one, other = Old(), Old()
    one.fixed.append(2)
    assert other.fixed == [1]


def test_a_getter_and_a_setter_take_the_place_of_the_value():
    thing = Old()
    assert (thing.computed, Old.properties["computed"].name) == (2, "computed")
    assert Old.count.description == "How many."
    assert Old.fixed.readonly is True


def test_it_is_served_like_any_other():
    with lt.ThingServer.from_things({"old": Old}).test_client() as client:
        assert client.get("/old/properties").json() == {"count": 1, "fixed": [1], "computed": 2}
        assert client.put("/old/count", json=3).status_code == 204
        assert client.put("/old/fixed", json=[3]).status_code == 405
