"""A server is stopped once in each run, and closes its Things whatever fails before."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt


class Lamp(lt.Thing):
    closed = 0

    def __exit__(self, *_: object) -> None:
        self.closed += 1

    def __enter__(self) -> None:
        pass


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things({"lamp": Lamp}, settings_folder=tmp_path / "settings")


def test_only_the_first_caller_stops_the_server(server):
    with server.test_client() as client:
        assert client.portal.call(server._stop, 5.0)
        assert not client.portal.call(server._stop, 5.0)
        server._finish()
    assert server.things["lamp"].closed == 1


def test_a_server_can_be_started_and_stopped_again(server):
    for _ in range(2):
        with server.test_client() as client:
            assert client.get("/health").status_code == 200
    assert server.things["lamp"].closed == 2


def test_things_are_closed_although_an_earlier_step_of_the_stop_fails(server, monkeypatch):
    async def fail() -> None:
        raise RuntimeError("no end")

    client = server.test_client()
    with pytest.raises(RuntimeError, match="no end"), client:
        monkeypatch.setattr(server._poller, "stop", fail)
    assert server.things["lamp"].closed == 1
