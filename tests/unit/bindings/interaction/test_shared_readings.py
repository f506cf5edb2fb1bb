"""One reading answers all who asked before it began."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from labthings_fastapi.bindings.interaction.shared_readings import Reading, SharedReadings
from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, Workers


class Instrument:
    """Counts its readings, and remembers how patient each was."""

    def __init__(self):
        self.patience = []
        self.may_end = threading.Event()
        self.may_end.set()

    def read(self, patience):
        self.patience.append(patience)
        assert self.may_end.wait(30)
        number = len(self.patience)
        return Reading(str(number).encode(), number, datetime.now(UTC))


@pytest.fixture
def instrument():
    return Instrument()


@pytest.fixture
def shared(instrument):
    return SharedReadings(instrument.read, BoundedExecutor(Workers("test"), "Property", limit=1))


def test_those_who_ask_again_at_once_share_each_reading(shared, instrument):
    async def ask_again_and_again():
        return [(await shared.ask(5.0)).value for _ in range(6)]

    async def main():
        return await asyncio.gather(*(ask_again_and_again() for _ in range(3)))

    answers = asyncio.run(main())
    assert all(values == sorted(set(values)) for values in answers)  # none is answered twice
    assert len(instrument.patience) == 7  # one for the first alone, then six for all


def test_one_who_asks_alone_waits_for_nobody(shared, instrument, monkeypatch):
    async def main():
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_later", lambda *_: pytest.fail("there is a pause"))
        return [(await shared.ask(5.0)).value for _ in range(3)]

    assert asyncio.run(main()) == [1, 2, 3]


@pytest.mark.parametrize(("patience", "left"), [(5.0, "some"), (0.0, "none")])
def test_the_wait_for_the_reading_before_counts_as_patience(shared, instrument, patience, left):
    async def main():
        instrument.may_end.clear()
        before, one = shared.ask(5.0), shared.ask(patience)
        instrument.may_end.set()
        await asyncio.gather(before, one)

    asyncio.run(main())
    first, second = instrument.patience
    assert 0.0 < second < first <= 5.0 if left == "some" else second == 0.0
