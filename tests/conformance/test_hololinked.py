"""The client of hololinked uses a Thing over HTTP.

It takes the first form whose `op` is a text and the operation it wants; it resolves no relative
URLs; it sends arguments by name in one object.
"""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

import labthings_fastapi as lt

pytestmark = pytest.mark.timeout(150)  # hololinked takes long to import


class Lamp(lt.Thing):
    level: Annotated[int, Field(ge=0, le=10)] = lt.property(default=1)
    blinked: lt.Event[str] = lt.event()

    @lt.property
    def warm(self) -> bool:
        return self.level > 5

    @lt.action(synchronous=True)
    def double(self, number: int) -> int:
        return 2 * number

    @lt.action
    def fade(self, steps: int) -> str:
        return "dark" * steps

    @lt.action(synchronous=True)
    def switch_off(self) -> None:
        self.level = 0

    @lt.action(synchronous=True)
    def blink(self) -> None:
        self.blinked.emit("once")


@pytest.fixture
def hololinked(in_python, serve):
    url = f"{serve({'lamp': Lamp})}/lamp/"
    return lambda **members: in_python("hololinked", "hololinked_client.py", url=url, **members)


def test_it_reads_writes_and_invokes_and_learns_why_something_is_refused(hololinked):
    found = hololinked()
    assert found["names"] == ["level", "warm"]
    assert (found["before"], found["after"], found["attribute"]) == (1, 7, 3)
    assert found["asynchronous"] == 3
    status, words = found["refused"]
    assert status == 422
    assert "level" in words
    assert found["after_refusal"] == 3
    assert found["read_only"][0] == "NotImplementedError"  # it knows from the description
    assert found["output"] == 42
    assert found["run"]["status"] in {"pending", "running"}
    assert found["run"]["href"]
    assert found["no_input"] is None
    status, words = found["wrong_input"]
    assert status == 422
    assert "number" in words


def test_it_observes_a_property_and_listens_to_an_event(hololinked):
    found = hololinked(values=[4, 9])
    assert [value for _, _, value in found["seen"]][-1] == 9
    assert 4 in [value for _, _, value in found["seen"]]
    ids = [id for _, id, _ in found["seen"]]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert {name for name, _, _ in found["seen"]} == {"level"}
    assert found["heard"] == ["once"]
