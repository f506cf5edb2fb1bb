"""`Idempotency-Key`: the same request, sent again, gives back the same run and moves nothing."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from labthings_fastapi.actions.recorded_invocation import find_invocation
from labthings_fastapi.concurrency.threadsafe_event import wait_for_future
from labthings_fastapi.exceptions import (
    IdempotencyKeyError,
    InvocationNotFoundError,
    RequestError,
)
from labthings_fastapi.journal.keys import IdempotencyKey, input_digest, utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from labthings_fastapi.actions.invocation import Invocation
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.actions.protocols import KnownInvocation

KEY_HEADER = b"idempotency-key"
LONGEST_KEY = 255


def idempotency_key(
    key: str, thing: str, action: str, body: bytes, id: UUID | None
) -> IdempotencyKey:
    """Return what a request would have its key stand for: a run with this id, or a fresh one.

    Raises:
        RequestError: the key is empty or too long.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise RequestError(
            f"An Idempotency-Key has 1 to {LONGEST_KEY} characters, and this one has {len(key)}."
        )
    return IdempotencyKey(
        key, thing, action, input_digest(_canonical(body)), id or uuid4(), utc_now()
    )


def _canonical(body: bytes) -> bytes:
    """Write JSON so that the same input gives the same bytes, however a client wrote it."""
    try:
        return json.dumps(json.loads(body), sort_keys=True).encode()
    except (ValueError, RecursionError):
        return body


class KeyedInvocations:
    """Starts one run for each key of one action; used on event loops, also on several."""

    def __init__(self, manager: ActionManager, prefix: str) -> None:
        """Keep the keys in the manager's journal."""
        self._manager = manager
        self._prefix = prefix
        self._busy: dict[tuple[str, str, str], Future[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def invocation_for(
        self, key: IdempotencyKey, start: Callable[[], Awaitable[Invocation]]
    ) -> KnownInvocation:
        """Return the run that a key stands for; if there is none, that which `start` gives.

        Raises:
            IdempotencyKeyError: the key came with other input before.
            Exception: the run was refused, or the key cannot be kept; then nothing has begun, and
                the key may be used again.
        """
        # To its end also if the client goes away: between key and run there is no way back.
        task = asyncio.ensure_future(self._invocation_for(key, start))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _invocation_for(
        self, key: IdempotencyKey, start: Callable[[], Awaitable[Invocation]]
    ) -> KnownInvocation:
        journal = self._manager.journal
        async with self._alone(key.name):
            kept = await wait_for_future(journal.remember_key(key))
            if kept.invocation == key.invocation:
                try:
                    invocation = await start()
                    if invocation.commit is not None:
                        await wait_for_future(invocation.commit)
                except Exception:
                    # Nobody was told of this run, and the next try may be luckier.
                    journal.forget_key(key)
                    raise
                return invocation
        if kept.input_digest != key.input_digest:
            raise IdempotencyKeyError(
                f"The key {key.key!r} was sent with other input to {key.thing}.{key.action} "
                f"before, and stands for run {kept.invocation}: use a new key for a new request."
            )
        try:
            return await find_invocation(self._manager, kept.invocation, self._prefix, expired=True)
        except InvocationNotFoundError as error:
            raise IdempotencyKeyError(
                f"The key {key.key!r} stands for invocation {kept.invocation} of {key.thing}."
                f"{key.action}, of which no record is left: use a new key for a new request."
            ) from error

    @asynccontextmanager
    async def _alone(self, name: tuple[str, str, str]) -> AsyncIterator[None]:
        """Let one request with a key in at a time, whatever loop it is on."""
        mine: Future[None] = Future()
        mine.set_running_or_notify_cancel()  # so that nobody who waits for it can cancel it
        while (first := self._busy.setdefault(name, mine)) is not mine:
            await wait_for_future(first)
        try:
            yield
        finally:
            del self._busy[name]
            mine.set_result(None)
