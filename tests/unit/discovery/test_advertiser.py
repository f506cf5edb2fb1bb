"""Failures of announcements; for the others see tests/integration/test_discovery.py."""

from __future__ import annotations

import gc
import logging

import pytest

from labthings_fastapi.discovery.advertiser import Advertiser, Reach
from labthings_fastapi.discovery.services import Origin

NOT_OURS = Reach(("192.0.2.1",), 5000, "http")


# zeroconf leaves the socket that it could not use to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:Warning")
def test_a_network_that_does_not_work_is_one_warning(caplog):
    origin = Origin("lab-pc")
    with caplog.at_level(logging.WARNING, "labthings_fastapi.discovery"):
        advertiser = Advertiser(origin, NOT_OURS)
        advertiser.add(origin.directory())
        assert advertiser.join(30)
        advertiser.add(origin.thing("stage", "Stage", "/stage/"))
        advertiser.withdraw()
    gc.collect()
    [record] = [each for each in caplog.records if each.name == "labthings_fastapi.discovery"]
    assert "could not be announced by mDNS" in record.message
    assert "192.0.2.1" in record.message
    assert "`discovery: false`" in record.message


@pytest.mark.parametrize("services", [0, 1, 40])
def test_it_can_be_withdrawn_while_it_begins(services):
    origin = Origin("lab-pc")
    advertiser = Advertiser(origin, Reach(("127.0.0.1",), 5000, "http"))
    for number in range(services):
        advertiser.add(origin.thing(f"stage{number}", "Stage", f"/stage{number}/"))
    advertiser.withdraw()
    advertiser.withdraw()
    assert advertiser.join(30)
