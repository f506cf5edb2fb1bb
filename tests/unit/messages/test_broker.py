"""Details of the broker in memory; the contract of brokers is in `tests/contracts`."""

from __future__ import annotations

import threading

import pytest

from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.message import Message


def test_two_brokers_have_different_boot_ids() -> None:
    assert Broker().boot_id != Broker().boot_id


@pytest.mark.parametrize("boot_id", ["", "a b", "a\nid: 1", "é"])
def test_a_boot_id_must_fit_in_a_header(boot_id: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        Broker(boot_id)


def test_in_a_flood_few_messages_wait_to_be_delivered() -> None:
    """Else memory grows without end, and the thread that delivers does nothing else any more."""
    broker, publishers = Broker(), 3
    waiting = []

    def flood() -> None:
        for _ in range(30_000):
            broker.publish(Message("event", "oven", "hot", b"1", 1))
            waiting.append(broker._inbox.qsize())

    threads = [threading.Thread(target=flood) for _ in range(publishers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert max(waiting) <= 2000
    assert broker.position == f"{broker.boot_id}-{publishers * 30_000}"
