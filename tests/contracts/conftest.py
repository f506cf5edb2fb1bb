"""Every implementation of a journal, for the contract suites."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from labthings_fastapi.journal.journal import Journal, MemoryJournal
from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.outputs.kept import KeptOutputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Clock:
    """The time of day of a journal."""

    def __init__(self) -> None:
        self.now = datetime(2024, 5, 17, 12, 0, 0, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


# A new implementation needs one line: a name, and how it is made in an empty folder.
JOURNALS: dict[str, Callable[[Path, Clock], Journal]] = {
    "memory": lambda _, clock: MemoryJournal(clock=clock, outputs=KeptOutputs()),
    "sqlite": lambda folder, clock: SqliteJournal(
        folder / "made on first use" / "journal.sqlite", boot_id="abc", clock=clock
    ),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=JOURNALS)
def journal(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    journal = JOURNALS[request.param](tmp_path, clock)
    yield journal
    journal.close(60.0)
