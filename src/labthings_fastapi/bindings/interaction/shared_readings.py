"""Readings of a property: one at a time answers all who asked before it began."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from labthings_fastapi.exceptions import TooBusyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor

LONGEST_PAUSE = 0.002
"""Seconds between two readings for several: those who ask again at once share the next one.

A pause is never longer than the reading before it, which would slow down a quick getter.
"""
MAX_WAITING = 1000
"""How many requests wait for the next reading of one property; an instrument may hang."""


class Reading(NamedTuple):
    """One reading: the value as JSON and as Python has it, and when it was complete.

    Without `json` it holds arrays, which are written when it is known in which form.
    """

    json: bytes | None
    value: Any
    time: datetime
    told: bool = False
    """Whether it has been published, as the first one after a failure."""


class SharedReadings:
    """Reads one property for all who ask; used on the server's event loop.

    Who asks while a reading is in progress waits for the next one: no answer is older than its
    request. `read` runs on the executor, with the greatest patience (s) that those it is for have
    left.
    """

    def __init__(self, read: Callable[[float], Reading], executor: BoundedExecutor) -> None:
        self._read = read
        self._executor = executor
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy = False  # a reading is in progress, or the next one is about to begin
        self._began = 0.0  # when the last reading began, in the time of the loop
        self._waiting: list[tuple[asyncio.Future[Reading], float]] = []  # with their deadlines

    def ask(self, patience: float) -> asyncio.Future[Reading]:
        """Return the future of a reading that begins now or later.

        Raises:
            TooBusyError: too many wait, or the system starts no thread.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # of a test client; what waited on a closed one is gone
            self._loop, self._busy, self._waiting = loop, False, []
        if len(self._waiting) >= MAX_WAITING:
            raise TooBusyError(
                f"{MAX_WAITING} requests wait for the same property, whose reading has not ended. "
                "Look at the instrument: it may not answer."
            )
        answer: asyncio.Future[Reading] = loop.create_future()
        self._waiting.append((answer, loop.time() + patience))
        if not self._busy:
            self._begin()
        return answer

    def _begin(self) -> None:
        asked, self._waiting = self._waiting, []
        loop = self._loop
        answers = [answer for answer, _ in asked if not answer.done()]
        self._busy = bool(answers)
        if loop is None or not answers:
            return  # everybody has left
        self._began = loop.time()
        # They have waited for the reading before this one already.
        patience = max(deadline for _, deadline in asked) - self._began
        try:
            reading = self._executor.start(self._read, max(patience, 0.0))
        except TooBusyError as error:
            self._busy = False
            for answer in answers:
                answer.set_exception(error)
            return
        reading.add_done_callback(partial(self._over, loop, answers))

    def _over(
        self,
        loop: asyncio.AbstractEventLoop,
        answers: list[asyncio.Future[Reading]],
        reading: asyncio.Future[Reading],
    ) -> None:
        error = reading.exception()
        for answer in answers:
            if answer.done():  # its client has left
                continue
            if error is None:
                answer.set_result(reading.result())
            else:
                answer.set_exception(error)
        if self._waiting or len(answers) > 1:
            # After the coroutines above have sent their answers: their clients may ask again.
            pause = min(loop.time() - self._began, LONGEST_PAUSE)
            loop.call_soon(loop.call_later, pause, self._begin)
        else:
            self._busy = False
