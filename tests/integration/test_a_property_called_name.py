"""A Thing may declare a property called `name`; its messages still belong to the Thing."""

from __future__ import annotations

import threading

from fastapi.testclient import TestClient

import labthings_fastapi as lt


class Lamp(lt.Thing):
    """A lamp with a name of its own."""

    name: str = lt.property(default="bench lamp")
    level: int = lt.property(default=1)


def test_a_poll_gets_the_value_that_is_written() -> None:
    with TestClient(lt.ThingServer.from_things({"lamp": Lamp}).app) as client:
        client.head("/lamp/level?observe=longpoll")
        got: list[int] = []
        poll = threading.Thread(
            target=lambda: got.append(client.get("/lamp/level?observe=longpoll").json()),
            daemon=True,
        )
        poll.start()
        client.put("/lamp/level", json=4).raise_for_status()
        poll.join(50)
        assert got == [4]
