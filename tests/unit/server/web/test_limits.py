"""The number of connections fits the number of files that the process may open."""

from __future__ import annotations

import logging

import pytest

from labthings_fastapi.server.config_model import ThingServerConfig
from labthings_fastapi.server.web.connection_limits import RESERVED_FILES, Limits, limits_of


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
