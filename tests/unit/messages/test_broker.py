"""Details of the broker in memory; the contract of brokers is in `tests/contracts`."""

from __future__ import annotations

import pytest

from labthings_fastapi.messages.broker import Broker


def test_two_brokers_have_different_boot_ids() -> None:
    assert Broker().boot_id != Broker().boot_id


@pytest.mark.parametrize("boot_id", ["", "a b", "a\nid: 1", "é"])
def test_a_boot_id_must_fit_in_a_header(boot_id: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        Broker(boot_id)
