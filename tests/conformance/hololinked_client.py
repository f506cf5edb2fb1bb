"""The client of hololinked does one thing with a Thing, given only the URL of its description.

Runs in an environment of its own: a JSON object in, the answer as the last line out.
"""

from __future__ import annotations

import asyncio
import json
import queue
import sys

import structlog
from hololinked.client import ClientFactory


def drop(logger, level, event):
    raise structlog.DropEvent


def use(client):
    """Do all that its HTTP client can with the lamp."""
    found = {"names": sorted(client.TD["properties"]), "before": client.read_property("level")}
    client.write_property("level", 7)
    found["after"] = client.read_property("level")
    client.level = 3  # the same, as an attribute
    found["attribute"] = client.level
    found["asynchronous"] = asyncio.run(client.async_read_property("level"))
    found["refused"] = failure(lambda: client.write_property("level", 11))
    found["after_refusal"] = client.read_property("level")
    found["read_only"] = failure(lambda: client.write_property("warm", True))
    found["output"] = client.invoke_action("double", number=21)
    found["run"] = client.invoke_action("fade", steps=2)
    found["no_input"] = client.invoke_action("switch_off")
    found["wrong_input"] = failure(lambda: client.invoke_action("double", number="many"))
    return found


def failure(work):
    """Return the status and the words of the server, which its users find in the exception."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - of any class, and told to the test
        response = getattr(error, "response", None)
        if response is None:
            return [type(error).__name__, str(error)]
        return [response.status_code, response.json()["detail"]]
    return None


def follow(client, values):
    """Return what is heard of a property and of an event."""
    seen, heard = queue.Queue(), queue.Queue()
    client.observe_property("level", lambda event: seen.put([event.event, event.id, event.data]))
    client.subscribe_event("blinked", lambda event: heard.put(event.data))
    found = {"seen": [], "heard": []}
    # It does not say when it listens, so the first change is made until it is heard.
    while seen.empty():
        client.write_property("level", 1 - client.read_property("level") % 2)
    for value in values:
        client.write_property("level", value)
        while not found["seen"] or found["seen"][-1][-1] != value:
            found["seen"].append(seen.get(timeout=60))
    client.unobserve_property("level")
    while heard.empty():
        client.invoke_action("blink")
        try:
            found["heard"].append(heard.get(timeout=0.2))
            break
        except queue.Empty:
            continue
    client.unsubscribe_event("blinked")
    return found


def main():
    structlog.configure(processors=[drop])
    asked = json.loads(sys.stdin.read())
    client = ClientFactory.http(asked["url"])
    found = follow(client, asked["values"]) if "values" in asked else use(client)
    sys.stdout.write(json.dumps(found) + "\n")


main()
