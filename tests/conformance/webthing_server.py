"""Lamps of the library webthing, for clients. Runs in an environment of its own, until it is ended.

`WebThingServer.start` listens on every address, so its application is served by tornado.
"""

from __future__ import annotations

import asyncio
import sys
import uuid

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from webthing import Action, Event, MultipleThings, Property, Thing, Value, WebThingServer


class Blink(Action):
    """Blinks, without stopping the server's loop as an ordinary `perform_action` would."""

    def __init__(self, thing, input_):
        super().__init__(uuid.uuid4().hex, thing, "blink", input_=input_)

    def start(self):
        self.status = "pending"
        self.thing.action_notify(self)
        self.task = asyncio.ensure_future(self.blink())

    async def blink(self):
        for number in range(self.input["times"]):
            self.thing.add_event(Event(self.thing, "blinked", {"number": number}))
            await asyncio.sleep(0.01)
        self.finish()

    def cancel(self):
        self.task.cancel()


class Fail(Action):
    """Fails."""

    def __init__(self, thing, input_):
        super().__init__(uuid.uuid4().hex, thing, "fail", input_=input_)

    def perform_action(self):
        raise RuntimeError("The filament is gone.")


class Broken(Property):
    """Cannot be read."""

    def get_value(self):
        raise OSError("no answer from the bulb")


def lamp(name: str, *, broken: bool) -> Thing:
    """Make a lamp."""
    made = Thing(f"urn:dev:{name}", name, ["Light"], "A lamp.")
    level = {"type": "integer", "minimum": 0, "maximum": 10}
    made.add_property(Property(made, "level", Value(1, lambda _: None), level))
    made.add_property(Property(made, "warm", Value(False), {"type": "boolean", "readOnly": True}))
    if broken:
        made.add_property(Broken(made, "broken", Value(0), {"type": "number", "readOnly": True}))
    times = {"type": "object", "required": ["times"], "properties": {"times": {"type": "integer"}}}
    made.add_available_action("blink", {"input": times}, Blink)
    made.add_available_action("fail", {}, Fail)
    made.add_available_event("blinked", {"type": "object"})
    return made


async def main() -> None:
    """Serve them."""
    things = MultipleThings([lamp("Lamp", broken=True), lamp("Spare", broken=False)], "lamps")
    server = HTTPServer(WebThingServer(things, disable_host_validation=True).app)
    (listening,) = bind_sockets(0, "127.0.0.1")
    server.add_sockets([listening])
    sys.stdout.write(f"Listening on http://127.0.0.1:{listening.getsockname()[1]} \n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main())
