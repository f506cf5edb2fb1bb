"""node-wot, the reference implementation of the Scripting API, uses a Thing over HTTP."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

import labthings_fastapi as lt

pytestmark = pytest.mark.timeout(150)  # Node needs half a minute, longer on a busy computer

REFUSED = "Client error: Unprocessable"  # "Entity" or "Content", as the Python is older or newer


class Lamp(lt.Thing):
    """A lamp with what a client may meet in a Thing."""

    level: Annotated[int, Field(ge=0, le=10)] = lt.property(default=1)
    label: str = lt.property(default="bench lamp")
    blinked: lt.Event[int] = lt.event()

    @lt.property
    def warm(self) -> bool:
        return self.level > 5

    @lt.action(synchronous=True)
    def double(self, number: int) -> int:
        return 2 * number

    @lt.action
    def fade(self, steps: int) -> str:
        for _ in lt.track(range(steps)):
            lt.cancellable_sleep(0.01)
        return "dark"

    @lt.action
    def blink(self, times: int) -> None:
        for number in range(times):
            self.blinked.emit(number)

    @lt.action
    def break_down(self) -> None:
        raise lt.exceptions.InvocationError("The filament is gone.")


@pytest.fixture
def node_wot(in_node, serve):
    """Let node-wot do one thing with the lamp; returns what came of it."""
    url = f"{serve({'lamp': Lamp})}/lamp/"
    return lambda step, *args: in_node("node_wot.mjs", url=url, step=step, args=args)


def test_it_reads_and_writes_properties(node_wot):
    assert node_wot("read", "level") == {"result": 1}
    assert node_wot("write", "level", 7) == {"result": None}
    assert node_wot("read", "level") == {"result": 7}


def test_it_reads_all_properties(node_wot):
    everything = {"level": 1, "label": "bench lamp", "warm": False}
    assert node_wot("readAll") == {"result": everything}


def test_it_learns_that_a_value_is_refused(node_wot):
    assert node_wot("write", "level", 11)["error"].startswith(REFUSED)
    assert node_wot("read", "level") == {"result": 1}


def test_it_gets_the_output_of_a_synchronous_action(node_wot):
    assert node_wot("invoke", "double", {"number": 21}) == {"result": 42}


def test_it_polls_an_asynchronous_action_until_it_is_done(node_wot):
    states = node_wot("finish", "fade", {"steps": 30})["result"]
    assert states[0]["status"] in {"pending", "running"}
    assert states[-1]["status"] == "completed"
    assert states[-1]["output"] == "dark"


def test_it_gets_the_reason_why_an_action_failed(node_wot):
    states = node_wot("finish", "break_down", None)["result"]
    assert states[-1]["status"] == "failed"
    assert "The filament is gone." in states[-1]["error"]["detail"]


def test_it_learns_that_an_input_is_refused(node_wot):
    assert node_wot("invoke", "fade", {"steps": "many"})["error"].startswith(REFUSED)


def test_it_observes_a_property_and_stops(node_wot):
    result = node_wot("observe", "level", [4, 9])["result"]
    assert result["seen"][-1] == 9
    assert not result["errors"]
    assert result["active"] is False


def test_it_sees_the_last_of_many_quick_changes(node_wot):
    """It sends no `Last-Event-ID`, and is busy between two polls."""
    values = [*(number % 10 for number in range(20)), 10]
    seen = node_wot("observe", "level", values)["result"]["seen"]
    assert seen[-1] == 10
    left = iter(values)
    assert all(value in left for value in seen), seen  # in order, none twice


def test_it_receives_every_event_and_stops(node_wot):
    result = node_wot("hear", "blinked", "blink", {"times": 20}, 20)["result"]
    assert result["heard"] == list(range(20))
    assert result["active"] is False
