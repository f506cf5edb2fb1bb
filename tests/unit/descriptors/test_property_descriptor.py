"""The older way to declare a property."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

import labthings_fastapi as lt
from labthings_fastapi.descriptors import PropertyDescriptor
from labthings_fastapi.exceptions import ReadOnlyPropertyError
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


def test_each_thing_has_its_own_copy_of_the_initial_value():
    one, other = Old(), Old()
    one.fixed.append(2)
    assert other.fixed == [1]


def test_a_getter_and_a_setter_take_the_place_of_the_value():
    thing = Old()
    assert (thing.computed, Old.properties["computed"].name) == (2, "computed")
    assert Old.count.description == "How many."
    assert Old.fixed.readonly is True


def test_clients_use_it_like_any_other():
    with lt.ThingServer.from_things({"old": Old}).test_client() as client:
        assert client.get("/old/properties").json() == {"count": 1, "fixed": [1], "computed": 2}
        assert client.put("/old/count", json=3).status_code == 204
        assert client.put("/old/fixed", json=[3]).status_code == 405


class Stored(lt.Thing):
    speed = PropertyDescriptor(Annotated[float, Field(gt=0)], 1)
    """How fast."""
    unset = PropertyDescriptor(int)
    named = PropertyDescriptor(int, getter=lambda self: self._kept)
    _kept = 3

    @named.setter
    def keep(self, value: int) -> None:
        self._kept = value


def test_a_constraint_in_the_type_is_obeyed_and_described():
    with lt.ThingServer.from_things({"a": Stored}).test_client() as client:
        assert client.put("/a/speed", json=-1).status_code == 422
        described = client.get("/a/").json()["properties"]["speed"]
        assert {"type": "number", "exclusiveMinimum": 0} in described["oneOf"]
        assert described["default"] == 1.0
        assert described["title"] == "How fast."
        assert client.put("/a/speed", json=2).status_code == 204
        assert client.post("/a/speed/reset").status_code == 204
        assert client.get("/a/speed").json() == 1.0


def test_without_an_initial_value_it_is_none_until_it_is_set():
    with lt.ThingServer.from_things({"a": Stored}).test_client() as client:
        assert client.get("/a/unset").json() is None
        assert "default" not in client.get("/a/").json()["properties"]["unset"]
        assert client.put("/a/unset", json=4).status_code == 204
        assert client.get("/a/unset").json() == 4


def test_a_setter_of_another_name_stays_a_method():
    thing = Stored()
    thing.named = "5"
    thing.keep(thing.named + 1)
    assert thing.named == 6
    assert set(Stored.properties) == {"speed", "unset", "named"}


def test_an_initial_value_that_is_not_valid_is_a_warning():
    with pytest.warns(UserWarning, match=r"Wrong\.n: the default 'x' breaks"):
        wrong = type("Wrong", (lt.Thing,), {"n": PropertyDescriptor(int, "x")})
    assert wrong().n == "x"
    assert not wrong.n.is_resettable


def test_what_has_no_initial_value_cannot_go_back_to_it():
    thing = Stored()
    with pytest.raises(ReadOnlyPropertyError, match="no default"):
        Stored.unset.reset(thing)
