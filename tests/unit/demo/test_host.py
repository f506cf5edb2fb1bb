"""The host reports what the computer really does."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psutil
import pytest

from labthings_fastapi.demo.host import Host


def burn(seconds):
    """Keep a core busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.fixture
def host():
    """The computer that runs the tests."""
    return Host()


def test_the_first_reading_of_the_load_is_meaningful_in_every_thread(host):
    """While a core is busy, no thread reads zero, not even at its first reading."""
    with ThreadPoolExecutor() as pool:
        pool.submit(burn, 1)
        loads = [pool.submit(lambda: host.cpu_load) for _ in range(3)]
        assert all(0 < load.result() <= 100 for load in loads)


def test_there_is_a_load_for_each_core(host):
    loads = host.cpu_load_per_core
    assert len(loads) == psutil.cpu_count()
    assert all(0 <= load <= 100 for load in loads)


def test_temperatures_are_plausible_where_there_are_any(host):
    assert all(isinstance(name, str) and t < 200 for name, t in host.temperatures.items())


@pytest.mark.parametrize("what", ["memory", "disk"])
def test_memory_and_disk_are_partly_used(host, what):
    usage = getattr(host, what)
    assert 0 < usage.used < usage.total
    assert 0 < usage.percent < 100


def test_the_computer_was_started_before_this_program(host):
    age = time.time() - psutil.Process(os.getpid()).create_time()
    assert host.uptime > age


def test_the_clock_is_in_utc(host):
    before = datetime.now(UTC)
    assert before <= host.clock <= datetime.now(UTC)
