"""The results of an invocation as a table, which grows until the invocation has ended.

Used on the event loop; what takes long for many rows is done in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from pydantic_core import from_json, to_json

from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.messages.stream import MessageStream
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.outputs.arrow_tables import ArrowWriter
from labthings_fastapi.outputs.tables import (
    CSV,
    NDJSON,
    Columns,
    csv_text,
    described_columns,
    found_columns,
)

from .invocation import Invocation
from .recorded_invocation import KnownInvocation

_BATCH: Final = 500
"""Rows that are written at once, in a thread."""
_FEW: Final = 20
"""So many rows are written on the event loop: it takes less than a thread does."""


class ResultsLostError(Exception):
    """The reader was too slow: values were dropped before it got them."""


class ResultsTable:
    """The values of one invocation: those that it yields, or the items of its output."""

    def __init__(self, invocation: KnownInvocation) -> None:
        """Read nothing yet."""
        self._invocation = invocation
        self._ended: tuple[list[bytes], int] | None = None
        self._yields = isinstance(invocation, Invocation) and _yields(invocation)

    async def load(self) -> bool:
        """Get the values of an output that is a list; return whether there are values at all."""
        if self._yields:
            return True
        output = self._invocation.snapshot().output
        if output is None or not output.startswith(b"["):
            return False
        items = await asyncio.to_thread(lambda: [to_json(each) for each in from_json(output)])
        self._ended = items, len(items) + self._invocation.snapshot().results_dropped
        return True

    def since(self, number: int) -> tuple[list[bytes], int]:
        """Return the values after the first `number` that are still kept, and how many there were.

        Each is JSON.
        """
        if self._ended is not None:
            items, total = self._ended
            return items[max(0, number - (total - len(items))) :], total
        assert isinstance(self._invocation, Invocation)  # noqa: S101 - as `load` has found
        results = self._invocation._part(1)
        return ([], 0) if results is None else results.since(number)

    @property
    def is_open(self) -> bool:
        """Whether more values may come."""
        return self._ended is None and self._invocation.snapshot().is_open

    def dropped(self, after: int) -> int:
        """Return how many values after the first `after` are no longer there."""
        values, total = self.since(after)
        return max(0, total - after - len(values))

    async def batches(self, broker: Broker, after: int) -> AsyncIterator[list[bytes]]:
        """Yield the values that are kept, and then those that follow, until the end.

        Raises:
            ResultsLostError: values were dropped because this reader was too slow.
        """
        with MessageStream(broker, Topic(invocation=self._invocation.id)) as messages:
            changes = aiter(messages)
            number = after + self.dropped(after)
            while True:
                is_open = self.is_open
                values, total = self.since(number)
                if total - number > len(values):
                    raise ResultsLostError(f"{total - number - len(values)} values were dropped")
                for start in range(0, len(values), _BATCH):
                    yield values[start : start + _BATCH]
                number = max(number, total)
                if not is_open or await anext(changes, None) is None:
                    return

    def columns(self, first: Sequence[bytes]) -> Columns:
        """Return the columns, by the type hint or, without one, by the first values."""
        found = None
        if isinstance(self._invocation, Invocation):
            found = self._described()
        if found is not None:
            return found
        return found_columns([from_json(each) for each in first], open=self.is_open)

    def _described(self) -> Columns | None:
        assert isinstance(self._invocation, Invocation)  # noqa: S101 - for type checkers
        action = self._invocation.action_ref()
        if action is None:
            return None
        if action.result_schema is not None:
            return described_columns(action.result_schema.data_schema())
        items = action.output_schema.data_schema().get("items")
        return described_columns(items) if isinstance(items, dict) else None

    async def written(self, broker: Broker, media_type: str, after: int) -> AsyncIterator[bytes]:
        """Yield the table, piece by piece."""
        batches = self.batches(broker, after)
        if media_type == NDJSON:
            async for values in batches:
                yield b"".join(b"%b\n" % each for each in values)
            return
        first: list[bytes] = await anext(batches, [])
        columns = await asyncio.to_thread(self.columns, first)
        write: Callable[[list[list[Any]]], bytes]
        if media_type == CSV:
            write, end = csv_text, b""
            yield csv_text([columns.names])
        else:
            arrow = ArrowWriter(columns)
            write = arrow.take
            yield arrow.take()

        def rows(values: list[bytes]) -> bytes:
            return write([columns.row(from_json(each)) for each in values])

        yield await _done(rows, first)
        async for values in batches:
            yield await _done(rows, values)
        if media_type != CSV:
            end = arrow.end()
        if end:
            yield end


def _yields(invocation: Invocation) -> bool:
    action = invocation.action_ref()
    is_generator = action is not None and action.result_schema is not None
    return is_generator or invocation._part(1) is not None


async def _done(write: Callable[[list[bytes]], bytes], values: list[bytes]) -> bytes:
    return write(values) if len(values) <= _FEW else await asyncio.to_thread(write, values)
