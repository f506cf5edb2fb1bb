"""wotpy follows everything that Things tell: observable properties and events.

Runs in an environment of its own. The Things come on the first line of stdin; then it writes one
JSON object a line, until stdin is closed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from wotpy.protocols.http.client import HTTPClient
from wotpy.wot.servient import Servient
from wotpy.wot.wot import WoT


def tell(**members):
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


def follow(observable, thing, name):
    def note(item):
        tell(thing=thing, name=name, value=getattr(item.data, "value", item.data))

    def fail(error):
        tell(thing=thing, name=name, error=repr(error))

    observable.subscribe(on_next=note, on_error=fail)


async def main():
    wot = WoT(servient=Servient(catalogue_port=None, clients=[HTTPClient()]))
    for name, url in json.loads(sys.stdin.readline()).items():
        thing = wot.consume(await wot.fetch(url))
        for each, interaction in thing.properties.items():
            if interaction.observable:
                follow(thing.on_property_change(each), name, each)
        for each in thing.events:
            follow(thing.on_event(each), name, each)
    tell(ready=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # its polls wait for answers


asyncio.run(main())
