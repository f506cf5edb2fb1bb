"""A thread that is a small invocation, to do two things at once inside an action."""

from __future__ import annotations

import contextvars
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

from labthings_fastapi.exceptions import InvocationCancelledError

from .cancellation import CancelEvent
from .context import CURRENT_INVOCATION, InvocationContext, current_invocation, raise_if_cancelled
from .thread_failures import log_thread_failure


class InnerInvocation(InvocationContext):
    """An invocation inside another, the outer one, whose log, progress and files it shares."""

    def __init__(self, id: UUID, cancel: CancelEvent, outer: InvocationContext) -> None:
        super().__init__(id, cancel)
        self.outer = outer

    log = property(attrgetter("outer.log"))
    progress = property(attrgetter("outer.progress"))
    files = property(attrgetter("outer.files"))
    label = property(attrgetter("outer.label"))
    is_overdue = property(attrgetter("outer.is_overdue"))

    def enter_thing(self, thing: Any) -> None:
        """Note it in the outer invocation, which will make it safe."""
        self.outer.enter_thing(thing)

    def hold_until_safe(self, release: Callable[[], None]) -> None:
        """Keep it in the outer invocation."""
        self.outer.hold_until_safe(release)


def outermost_id(invocation: InvocationContext) -> UUID:
    """Return the id of the invocation that clients know: those inside it hold what it holds."""
    while isinstance(invocation, InnerInvocation):
        invocation = invocation.outer
    return invocation.id


class ThreadWithInvocationID(threading.Thread):
    """A thread with an invocation id and a cancel event of its own. Any thread may use it.

    Started inside an invocation, its log records and its progress are that invocation's, and it
    shares the global lock that the invocation holds.
    """

    def __init__(
        self,
        target: Callable[..., Any],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *more: Any,
        **options: Any,
    ) -> None:
        """Prepare to call `target`; `more` and `options`, such as `name`, are for `Thread`."""
        super().__init__(*more, **{"daemon": True} | options)
        self._invocation_id = uuid.uuid4()
        self._work = (target, tuple(args or ()), dict(kwargs or {}))
        self._cancel_request = CancelEvent(self._invocation_id)
        self._outer = current_invocation()
        self._surroundings = contextvars.copy_context()
        self._outcome: Any = None
        self._raised: BaseException | None = None

    @property
    def invocation_id(self) -> UUID:
        """The id of this thread's own invocation."""
        return self._invocation_id

    @property
    def result(self) -> Any:
        """What `target` returned; None until it has, or if it raised."""
        return self._outcome

    @property
    def exception(self) -> BaseException | None:
        """What `target` raised, or None."""
        return self._raised

    def cancel(self) -> None:
        """Ask the code in the thread to stop."""
        self._cancel_request.set()

    def run(self) -> None:
        """Call `target`; what it raises is kept as `exception`, and is in the log of the run."""
        target, args, kwargs = self._work
        id, cancel = self._invocation_id, self._cancel_request
        outer = self._outer
        context = InnerInvocation(id, cancel, outer) if outer else InvocationContext(id, cancel)
        try:
            self._surroundings.run(CURRENT_INVOCATION.set, context)
            self._outcome = self._surroundings.run(target, *args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - the caller may look at it, and may not
            self._raised = error
            if not isinstance(error, InvocationCancelledError):
                name = f"{self.name} ({getattr(target, '__name__', type(target).__name__)})"
                self._surroundings.run(log_thread_failure, name, error)
        finally:
            context.come_to_rest()

    def join_and_propagate_cancel(self, poll_interval: float = 0.2) -> None:
        """Wait for the thread; if the invocation that waits is cancelled, cancel the thread too.

        Raises:
            InvocationCancelledError: after the thread has ended, if there was a cancel.
        """
        cancelled: InvocationCancelledError | None = None
        while self.is_alive():
            try:
                raise_if_cancelled()
            except InvocationCancelledError as error:
                cancelled = error
                self.cancel()
            self.join(poll_interval)
        self.join()  # at once; RuntimeError if it was never started
        if cancelled is None:
            raise_if_cancelled()
        else:
            raise cancelled
