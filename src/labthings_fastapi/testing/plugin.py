"""A pytest plugin: the `thing_server` fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Every run of pytest loads this plugin, so nothing heavy is imported before the fixture is used.
if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from labthings_fastapi.server.server import ThingServer


@dataclass(frozen=True)
class RunningServer:
    """A started server and a client of it."""

    server: ThingServer
    client: TestClient


@pytest.fixture
def thing_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Start servers for a test; call it with the Things, as in `start({"stage": Stage}).client`.

    Takes what `ThingServer.from_things` takes. Each is stopped when the test ends; its settings are
    in the test's own temporary folder unless `settings_folder` says otherwise.
    """
    from labthings_fastapi.server.server import ThingServer

    with ExitStack() as stack:

        def start(things: Mapping[str, Any], **config: Any) -> RunningServer:
            config.setdefault("settings_folder", tmp_path / "settings")
            server = ThingServer.from_things(things, **config)
            return RunningServer(server, stack.enter_context(server.test_client()))

        yield start
