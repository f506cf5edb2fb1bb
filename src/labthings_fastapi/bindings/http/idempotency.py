"""`Idempotency-Key`: a request that is sent again returns the same invocation."""

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
from labthings_fastapi.journal.keys import IdempotencyKey, input_digest, owned, utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from labthings_fastapi.actions.invocation import Invocation
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.actions.recorded_invocation import KnownInvocation

KEY_HEADER = b"idempotency-key"
LONGEST_KEY = 255


def idempotency_key(
    key: str, thing: str, action: str, body: bytes, id: UUID | None, owner: str = ""
) -> IdempotencyKey:
    """Return the record of a key, for an invocation with this id or with a new one.

    The key belongs to its `owner`, the name of an actor: another one may send the same text.

    Raises:
        RequestError: the key is empty or too long.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise RequestError(
            f"The Idempotency-Key has {len(key)} characters, but must have 1 to {LONGEST_KEY}."
        )
    return IdempotencyKey(
        owned(key, owner), thing, action, input_digest(_canonical(body)), id or uuid4(), utc_now()
    )


def _canonical(body: bytes) -> bytes:
    """Return JSON in one form, so that the same input gives the same digest."""
    try:
        return json.dumps(json.loads(body), sort_keys=True).encode()
    except (ValueError, RecursionError):
        return body


class KeyedInvocations:
    """Starts one invocation for each key of one action.

    It may be used on several event loops at once; `_busy` is changed by atomic operations only.
    """

    def __init__(self, manager: ActionManager, prefix: str) -> None:
        self._manager = manager
        self._prefix = prefix
        self._busy: dict[tuple[str, str, str], Future[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def invocation_for(
        self, key: IdempotencyKey, start: Callable[[], Awaitable[Invocation]]
    ) -> KnownInvocation:
        """Return the invocation of a key; if there is none, start one with `start`.

        Raises:
            IdempotencyKeyError: the key was used with other input before.
            Exception: the invocation was refused, or the key cannot be stored. Nothing has begun,
                and the key may be used again.
        """
        # A task that the client cannot cancel: a stored key must get its invocation.
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
                    # No client has this invocation's id, and the next try may succeed.
                    journal.forget_key(key)
                    raise
                return invocation
        if kept.input_digest != key.input_digest:
            raise IdempotencyKeyError(
                f"The key {key.text!r} was sent to {key.thing}.{key.action} with other input, "
                f"and belongs to invocation {kept.invocation}: use a new key for a new request."
            )
        try:
            return await find_invocation(
                self._manager, kept.invocation, self._prefix, recorded=True
            )
        except InvocationNotFoundError as error:
            raise IdempotencyKeyError(
                f"The key {key.text!r} belongs to invocation {kept.invocation} of {key.thing}."
                f"{key.action}, whose record was deleted: use a new key for a new request."
            ) from error

    @asynccontextmanager
    async def _alone(self, name: tuple[str, str, str]) -> AsyncIterator[None]:
        """Exclude other requests with the same key, on all loops."""
        own: Future[None] = Future()
        own.set_running_or_notify_cancel()  # so that a request that waits cannot cancel it
        while (other := self._busy.setdefault(name, own)) is not own:
            await wait_for_future(other)
        try:
            yield
        finally:
            del self._busy[name]
            own.set_result(None)
