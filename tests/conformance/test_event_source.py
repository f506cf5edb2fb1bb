"""A plain EventSource, as browsers have it, follows a property."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt

pytestmark = pytest.mark.timeout(150)  # Node needs half a minute, longer on a busy computer


class Lamp(lt.Thing):
    level: int = lt.property(default=1)


def test_it_observes_a_property(in_node, serve):
    url = f"{serve({'lamp': Lamp})}/lamp/level"
    answer = in_node("event_source.mjs", url=url, name="level", values=[4, 9])
    assert [event["value"] for event in answer["seen"]][-2:] == [4, 9]
    ids = [event["id"] for event in answer["seen"]]
    assert len(set(ids)) == len(ids)
    assert all(ids)
    assert answer["closed"]
