"""Fixtures for tests of the journal's writer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from labthings_fastapi.journal.writer import Writer


@contextmanager
def _held_up(writer: Writer) -> Iterator[None]:
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go.wait(60)

    writer.submit(hold)
    held.wait(60)
    yield
    go.set()


@pytest.fixture
def held_up() -> Callable[[Writer], AbstractContextManager[None]]:
    """Block a writer, so that all records that are put meanwhile are one batch."""
    return _held_up
