"""The client of hololinked follows everything that Things tell: observable properties and events.

Runs in an environment of its own. The Things come on the first line of stdin; then it writes one
JSON object a line, until stdin is closed.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial

import structlog
from hololinked.client import ClientFactory


def tell(**members):
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


def note_warning(logger, level, event):
    """Tell what its client logs: it warns of each event that it drops."""
    if level in {"warning", "error", "exception", "critical"}:
        tell(error=str(event))
    raise structlog.DropEvent


def main():
    structlog.configure(processors=[note_warning])
    for thing, url in json.loads(sys.stdin.readline()).items():
        client = ClientFactory.http(url)

        def note(event, *, thing, name):
            tell(thing=thing, name=name, value=event.data)

        properties = client.TD.get("properties", {})
        for name in (name for name, each in properties.items() if each.get("observable")):
            client.observe_property(name, partial(note, thing=thing, name=name))
        for name in client.TD.get("events", {}):
            client.subscribe_event(name, partial(note, thing=thing, name=name))
    tell(ready=True)
    sys.stdin.read()
    os._exit(0)  # its threads wait for streams


main()
