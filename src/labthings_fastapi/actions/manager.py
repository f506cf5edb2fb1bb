"""All invocations of one server."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal, overload
from uuid import UUID

from pydantic import BaseModel

from labthings_fastapi.concurrency.threadsafe_event import wait_for_future
from labthings_fastapi.exceptions import InvocationNotFoundError, ServerNotRunningError
from labthings_fastapi.journal.journal import Journal, MemoryJournal
from labthings_fastapi.journal.reader import JournalReader
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.outputs.store import BlobStore
from labthings_fastapi.outputs.uploads.kept import KeptUploads
from labthings_fastapi.thing_description.paths import path_of

from .cancellation import CancelEvent
from .context import current_requester
from .deadlines import Deadlines
from .invocation import Invocation
from .invocation_limits import MAX_CONCURRENT_RUNS, MAX_QUEUED_RUNS, InvocationLimits, StartLimit
from .invocation_model import InvocationModel
from .protocols import App, HasRunnable, Host, Runnable, UrlSource, runnable
from .publisher import InvocationPublisher
from .rendering import InvocationUrls

MAX_RETAINED_RUNS = 10_000
MAX_RETAINED_BYTES = 256 * 1024 * 1024
RELEASE_SECONDS = 0.1  # dropped invocations wait for so long: many are released at once


class ActionManager:
    """Starts, finds and expires the invocations of a server. Any thread may use it."""

    def __init__(
        self,
        *,
        journal: Journal | None = None,
        broker: Broker | None = None,
        blobs: BlobStore | None = None,
        max_retained_runs: int = MAX_RETAINED_RUNS,
        max_retained_bytes: int = MAX_RETAINED_BYTES,
        max_concurrent_runs: int = MAX_CONCURRENT_RUNS,
        max_queued_runs: int = MAX_QUEUED_RUNS,
        has_global_lock: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.has_journal = journal is not None
        """Whether clients are answered from the journal after an invocation has expired."""
        # A server sets another one when it starts and stops.
        self.journal = journal if journal is not None else MemoryJournal()
        self.records = JournalReader(lambda: self.journal)
        self.broker = broker if broker is not None else Broker()
        self.blobs = blobs if blobs is not None else BlobStore()
        self._max_retained = max_retained_runs
        self._max_retained_bytes = max_retained_bytes
        self._retained_bytes = 0
        self._sizes: dict[UUID, int] = {}  # of those that have ended
        self._limits = InvocationLimits(max_concurrent_runs, max_queued_runs)
        self._publisher = InvocationPublisher(self.broker, lambda: self.journal, self._note_end)
        self._refusal: str | None = None
        # False in a server without a global lock: starting an invocation then looks for none.
        self.has_global_lock = has_global_lock
        self.prefix = ""  # of the paths of the endpoints
        self._clock = clock
        self._lock = threading.RLock()  # guards what follows; finalisers may ask while it is held
        self._invocations: dict[UUID, Invocation] = {}
        self._expiries: list[tuple[float, int, UUID]] = []
        self._pinned: set[UUID] = set()  # of a manager without a journal
        self._ended = 0
        self._armed: float | None = None  # when the timer drops expired invocations
        self._deadlines = Deadlines()
        self._dropped: list[Invocation | None] = []  # to be released without the lock

    @property
    def invocations(self) -> list[Invocation]:
        """All invocations now managed, oldest first."""
        with self._lock:
            return list(self._invocations.values())

    def append_invocation(self, invocation: Invocation) -> None:
        """Record and publish an invocation from now on; `ValueError`: another has its id."""
        with self._lock:
            if self._invocations.setdefault(invocation.id, invocation) is not invocation:
                raise ValueError(f"There is an invocation with id {invocation.id} already.")
        limit: StartLimit = self._limits
        requester = current_requester.get()
        if requester is not None and requester.is_restricted:
            limit = self._limits.share_of(requester.name or "")
        invocation.report_to(self._publisher, limit)

    def invoke_action(
        self,
        action: Runnable | HasRunnable,
        thing: Host,
        id: UUID | None = None,
        input: BaseModel | None = None,
        dependencies: dict[str, Any] | None = None,
        cancel_hook: CancelEvent | None = None,
    ) -> Invocation:
        """Start an invocation of `action` on `thing` and return it, running or queued.

        Raises:
            ActionBusyError: the action's group lock is taken, and its policy is not to wait.
            TooBusyError: as many invocations wait as the server takes.
            ServerNotRunningError: no work is taken, and this is no emergency stop.
        """
        action = runnable(action)
        if self._refuses(action):
            path = f"{path_of(thing)}{action.name}"
            raise ServerNotRunningError(f"{path} cannot be invoked: {self._refusal}")
        invocation = Invocation(action, thing, input, dependencies, id=id, cancel_hook=cancel_hook)
        invocation.takes_global_lock = self.has_global_lock
        self.append_invocation(invocation)
        if self._refuses(action):
            # The server may have begun to stop, and may have missed this one when it cancelled all.
            invocation.cancel()
        invocation.start()
        return invocation

    async def pin(self, id: UUID, *, pinned: bool) -> None:
        """Keep an invocation, its record, blobs and files beyond every age and limit, or no longer.

        Raises:
            InvocationNotFoundError: there is none with this id.
            JournalWriteError, OSError: the journal cannot be written.
        """
        known = await wait_for_future(self.journal.pin(id, pinned=pinned))
        with self._lock:
            invocation = self._invocations.get(id)
            if invocation is None and not known:
                raise InvocationNotFoundError(id)
            if not self.has_journal:  # nothing else would keep it
                (self._pinned.add if pinned else self._pinned.discard)(id)
        if invocation is not None:
            invocation.note_pin(pinned=pinned)
            if not pinned and not invocation.snapshot().is_open and not self.has_journal:
                self._note_end(invocation.snapshot())

    def save_open(self) -> None:
        """Put in the journal what open invocations have told so far; done often by itself too."""
        self._publisher.saver.save()

    def _refuses(self, action: Runnable) -> bool:
        return self._refusal is not None and not action.stop

    def refuse_work(self, reason: str) -> None:
        """Start no more invocations, except emergency stops."""
        self._refusal = reason

    def accept_work(self) -> None:
        """Start invocations again."""
        self._refusal = None

    def get_invocation(self, id: UUID) -> Invocation:
        """Return the invocation with this id; `InvocationNotFoundError` is a KeyError."""
        with self._lock:
            found = self._invocations.get(id)
        if found is None:
            raise InvocationNotFoundError(id)
        return found

    @overload
    def list_invocations(
        self,
        action: Runnable | None = None,
        thing: Host | None = None,
        as_responses: Literal[False] = False,
        request: UrlSource | None = None,
    ) -> list[Invocation]: ...

    @overload
    def list_invocations(
        self,
        action: Runnable | None,
        thing: Host | None,
        as_responses: Literal[True],
        request: UrlSource | None = None,
    ) -> list[InvocationModel]: ...

    @overload
    def list_invocations(
        self,
        action: Runnable | None = None,
        thing: Host | None = None,
        *,
        as_responses: Literal[True],
        request: UrlSource | None = None,
    ) -> list[InvocationModel]: ...
    def list_invocations(
        self,
        action: Runnable | None = None,
        thing: Host | None = None,
        as_responses: bool = False,
        request: UrlSource | None = None,
    ) -> list[Invocation] | list[InvocationModel]:
        """Return the invocations of an action, of a Thing, or all, oldest first."""
        found = [each for each in self.invocations if each.belongs_to(action, thing)]
        return [each.response(request) for each in found] if as_responses else found

    def newest(
        self,
        wanted: Callable[[Invocation], bool],
        limit: int | None = None,
        before: UUID | None = None,
    ) -> list[Invocation]:
        """Return the newest `limit` that are wanted and older than `before`, newest last."""
        with self._lock:
            if before is not None and before not in self._invocations:
                raise InvocationNotFoundError(before)
            backwards: Iterator[Invocation] = reversed(self._invocations.values())
            if before is not None:
                for invocation in backwards:
                    if invocation.id == before:
                        break
            found = list(islice(filter(wanted, backwards), limit))
        return found[::-1]

    def _note_end(self, record: InvocationRecord) -> None:
        """Keep a finished invocation for its retention time, unless too much is kept."""
        with self._lock:
            invocation = self._invocations.get(record.id)
            if invocation is None:
                return
            self._ended += 1
            expires = self._clock() + invocation.retention_time
            heapq.heappush(self._expiries, (expires, self._ended, record.id))
            size = self._sizes[record.id] = invocation.size(record)
            self._retained_bytes += size
            excess = len(self._expiries) - self._max_retained
            dropped = [self._drop_first() for _ in range(excess)]
            while self._retained_bytes > self._max_retained_bytes and len(self._expiries) > 1:
                dropped.append(self._drop_first())
            # On the timer's thread: deleting files and finalisers of user objects may be slow.
            release = bool(dropped) and not self._dropped
            self._dropped += dropped
        if release:
            self._deadlines.add(time.monotonic() + RELEASE_SECONDS, self._release_dropped)
        self._arm()

    def _release_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, []
        dropped.clear()

    def _drop_first(self) -> Invocation | None:
        # To be released by the caller, when it holds no lock.
        _, _, id = heapq.heappop(self._expiries)
        self._retained_bytes -= self._sizes.pop(id, 0)
        return None if id in self._pinned else self._invocations.pop(id, None)

    def expire_invocations(self) -> None:
        """Drop every invocation whose retention time has passed since its end."""
        now = self._clock()
        dropped = []  # released when this returns, without the lock
        with self._lock:
            while self._expiries and self._expiries[0][0] <= now:
                dropped.append(self._drop_first())
            if self._armed is not None and self._armed <= now:
                self._armed = None
        self._arm()

    def _arm(self) -> None:
        """Set the timer for the next expiry, unless it is set for an earlier time."""
        with self._lock:
            due = self._expiries[0][0] if self._expiries else None
            if due is None or (self._armed is not None and self._armed <= due):
                return
            self._armed = due
        self._deadlines.add(due, self.expire_invocations)

    def attach_to_app(self, app: App, prefix: str = "") -> None:
        """Add the invocation endpoints to any FastAPI app; its error handlers stay as they are.

        May be called before or after other routes are added; `prefix` comes before the paths.
        """
        # Imported here, so that the manager works without a web framework.
        from labthings_fastapi.outputs.routes import attach as attach_blobs
        from labthings_fastapi.outputs.uploads.routes import attach as attach_uploads

        from .routes import attach

        self.prefix = self.blobs.prefix = prefix
        self._publisher.urls = InvocationUrls(prefix=prefix)
        host: Any = app
        attach(self, host, prefix)
        attach_blobs(self.blobs, host, prefix)
        attach_uploads(self.blobs, self._uploads, host, prefix)

    def _uploads(self) -> KeptUploads | None:
        outputs = self.journal.outputs
        if outputs is None:
            return None
        outputs.uploads.most_bytes = self.blobs.max_upload_bytes
        return outputs.uploads
