"""How many connections there may be, and what the others are sent."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass

import pytest

from labthings_fastapi.server.config_model import ThingServerConfig
from labthings_fastapi.server.web.connection_limits import (
    RESERVED_FILES,
    ConnectionLimits,
    Limits,
    WriteStall,
    limits_of,
    render_response,
    too_many_connections,
)


class Transport(asyncio.Transport):
    """A connection from an address."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})
        self.closing = False
        self.left = 0

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.left


@dataclass(frozen=True)
class Connection:
    client: tuple[str, int] | None


def test_one_address_leaves_room_for_others():
    async def fill() -> tuple[int, int, int]:
        limits = ConnectionLimits(Limits(connections=8))
        connections: list[Connection] = []

        def connect(address: str) -> bool:
            accepted = limits.accepts(Transport(address), connections)
            if accepted:
                connections.append(Connection((address, 1)))
            return accepted

        greedy = sum(connect("192.0.2.1") for _ in range(10))
        others = sum(connect(f"192.0.2.{number}") for number in range(2, 6))
        return greedy, others, len(connections)

    assert asyncio.run(fill()) == (6, 2, 8)


def test_refusals_are_logged_once_a_minute(caplog):
    async def refuse() -> None:
        limits = ConnectionLimits(Limits(connections=1))
        for _ in range(5):
            assert not limits.accepts(Transport("192.0.2.1"), [Connection(None)])

    asyncio.run(refuse())
    assert len(caplog.records) == 1
    assert "all 1 connections are in use" in caplog.text


def test_a_closed_connection_is_stalled_only_while_its_client_takes_nothing():
    transport, stall = Transport("192.0.2.1"), WriteStall()
    transport.left = 100
    assert not stall.lasts(transport, 0, 10)
    assert not stall.lasts(transport, 100, 10)  # open: it may be silent for ever
    transport.closing = True
    assert not stall.lasts(transport, 101, 10)
    transport.left = 50
    assert not stall.lasts(transport, 112, 10)
    assert not stall.lasts(transport, 122, 10)
    assert stall.lasts(transport, 123, 10)


def test_a_response_is_complete_and_the_last_one():
    head, _, body = render_response(too_many_connections()).partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    fields = dict(header.split(": ", 1) for header in headers)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert fields["Content-Length"] == str(len(body))
    assert fields["Connection"] == "close"
    assert fields["Retry-After"] == "5"
    assert json.loads(body)["status"] == 503


@pytest.fixture
def open_files():
    """Lower what this process may open, as a shell with `ulimit -n` would."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def lower(number: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))

    yield lower
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_files_are_left_for_the_journal_and_for_drivers(open_files, caplog):
    open_files(1024)
    with caplog.at_level(logging.INFO, "labthings_fastapi.server"):
        assert Limits(connections=800).within_open_files() == Limits(connections=800)
        assert not caplog.records
        assert Limits(connections=5000).within_open_files().connections == 1024 - RESERVED_FILES
    assert "may open only 1024 files. Raise that limit to 5200" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


def test_a_process_that_may_open_almost_nothing_still_serves(open_files):
    open_files(256)
    assert Limits().within_open_files(logging.DEBUG).connections == 128


@pytest.mark.parametrize(
    ("config", "level"),
    [({}, logging.INFO), ({"max_connections": 2000}, logging.WARNING)],
)
def test_only_a_configured_number_that_is_too_large_is_a_warning(open_files, caplog, config, level):
    open_files(1024)
    with caplog.at_level(logging.INFO, "labthings_fastapi.server"):
        assert limits_of(ThingServerConfig(**config)).connections == 824
    assert [record.levelno for record in caplog.records] == [level]
