"""wotpy, a Scripting API for Python, uses a Thing, given only the URL of its description.

Runs in an environment of its own: a JSON object in, the answer as the last line out.
"""

from __future__ import annotations

import asyncio
import json
import sys

from wotpy.protocols.http.client import HTTPClient
from wotpy.wot.servient import Servient
from wotpy.wot.wot import WoT


async def first(observable, count, act):
    """Return the first `count` values that come, while `act` is done again and again."""
    values, enough = [], asyncio.Event()

    def note(item):
        values.append(item.data)
        if len(values) >= count:
            enough.set()

    subscription = observable.subscribe(on_next=note)
    try:
        # wotpy does not report when it has subscribed, so it may miss the first events.
        while not enough.is_set():
            await act()
            await asyncio.sleep(0.01)
    finally:
        subscription.dispose()
    return values


async def use(thing):
    """Do all that its HTTP client can."""
    level, blink = thing.properties["level"], thing.actions["blink"]
    found = {"title": thing.title, "names": sorted(thing.properties), "before": await level.read()}
    await level.write(7)
    found["after"] = await level.read()
    found["run"] = await blink.invoke({"times": 2})
    numbers = iter(range(10**6))
    changes = await first(thing.on_property_change("level"), 5, lambda: level.write(next(numbers)))
    found["seen"] = [change.value for change in changes]
    blinks = await first(thing.on_event("blinked"), 4, lambda: blink.invoke({"times": 2}))
    found["heard"] = blinks
    return found


async def main():
    """Read what to do, and do it."""
    url = json.loads(sys.stdin.read())["url"]
    # Its client for WebSockets takes any ws: form, also of a subprotocol that it does not speak.
    wot = WoT(servient=Servient(catalogue_port=None, clients=[HTTPClient()]))
    thing = wot.consume(await wot.fetch(url))
    sys.stdout.write(json.dumps(await use(thing)) + "\n")


asyncio.run(main())
