"""A pytest plugin: the `thing_server` fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Pytest always loads this plugin, so the fixture imports the server only when it is used.
if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from labthings_fastapi.server.server import ThingServer


@dataclass(frozen=True)
class RunningServer:
    """A started server, and a client in the same process."""

    server: ThingServer
    client: TestClient


@pytest.fixture
def thing_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Return a function that starts a server with the given Things.

    Its arguments are those of `ThingServer.from_things`. Servers stop when the test ends. Without
    `settings_folder`, settings are in the temporary folder of the test::

        def test_speed(thing_server):
            client = thing_server({"stage": Stage}).client
            assert client.get("/stage/speed").json() == 1.0
    """
    from labthings_fastapi.server.server import ThingServer

    with ExitStack() as stack:

        def start(things: Mapping[str, Any], **config: Any) -> RunningServer:
            config.setdefault("settings_folder", tmp_path / "settings")
            server = ThingServer.from_things(things, **config)
            return RunningServer(server, stack.enter_context(server.test_client()))

        yield start
