"""Count the Python calls that this package makes for one request, in process and without a socket.

The count does not depend on the load of the machine, so it shows whether a change made the path of
a request longer. Only calls on the event loop's thread are counted, and only of functions whose
file is in this package; a coroutine counts once each time that it is resumed.

Usage: `python benchmarks/count_calls.py [--list]`
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import labthings_fastapi as lt

PACKAGE = str(Path(lt.__file__).parent)
HEADERS = [(b"host", b"localhost:5000"), (b"content-type", b"application/json")]


class Stage(lt.Thing):
    """A Thing with one property and two actions."""

    speed: float = lt.property(default=1.0)

    @lt.action
    def move(self, distance: float = 1.0) -> float:
        """Return at once."""
        return distance

    @lt.action
    def hold(self) -> None:
        """Run until it is cancelled."""
        lt.cancellable_sleep(60)


async def send_request(app: Any, method: str, path: str, body: bytes = b"") -> dict[str, str]:
    """Make one request of a client on this computer, and return the headers of the response."""
    length = (b"content-length", b"%d" % len(body))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [*HEADERS, length] if method in ("POST", "PUT") else HEADERS[:1],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 5000),
    }
    response: dict[str, str] = {}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                raise SystemExit(f"{method} {path}: status {message['status']}")
            response.update((key.decode(), value.decode()) for key, value in message["headers"])

    await app(scope, receive, send)
    return response


async def count_request(app: Any, method: str, path: str, body: bytes = b"") -> Counter[str]:
    """Return how often each function of this package was called."""
    calls: Counter[str] = Counter()

    def count(frame: Any, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            file = frame.f_code.co_filename.removeprefix(f"{PACKAGE}/")
            calls[f"{file}: {frame.f_code.co_qualname}"] += 1

    sys.setprofile(count)
    try:
        await send_request(app, method, path, body)
    finally:
        sys.setprofile(None)
    return calls


async def count_all(server: lt.ThingServer) -> dict[str, Counter[str]]:
    """Return the smallest count of several requests of each kind.

    The first ones fill caches, and an invocation may end before or after the response is written.
    """
    app, counts = server.app, {}

    async def count(method: str, path: str, body: bytes = b"") -> None:
        calls = await count_request(app, method, path, body)
        if method not in counts or calls.total() < counts[method].total():
            counts[method] = calls

    async with app.router.lifespan_context(app):
        for _ in range(10):
            await count("GET", "/stage/speed")
            await count("POST", "/stage/move", b'{"distance": 2.5}')
            await count("PUT", "/stage/speed", b"2.5")
            started = await send_request(app, "POST", "/stage/hold", b"{}")
            id = started["location"].rpartition("/")[2]
            while server.action_manager.get_invocation(UUID(id)).status.value != "running":  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await count("DELETE", f"/action_invocations/{id}")
    return counts


def main() -> None:
    """Print the counts; with `--list`, each function as well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print each function")
    listed = parser.parse_args().list
    with tempfile.TemporaryDirectory() as folder:
        server = lt.ThingServer.from_things({"stage": Stage}, settings_folder=folder)
        counts = asyncio.run(count_all(server))
    for method, calls in counts.items():
        print(f"{method} {calls.total()}")
        for name, number in calls.most_common() if listed else ():
            print(f"  {number:3} {name}")


if __name__ == "__main__":
    main()
