"""A thread that is a small run of its own, to do two things at once inside an action."""

from __future__ import annotations

import contextvars
import threading
import uuid
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import InvocationCancelledError

from .cancellation import CancelEvent
from .context import InvocationContext, current_invocation, entered, raise_if_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from .protocols import Files, Log, Meter


class InnerInvocation(InvocationContext):
    """A run inside another, which did the asking."""

    def __init__(self, id: UUID, cancel: CancelEvent, outer: InvocationContext) -> None:
        """Share the log, the progress and the files of `outer`."""
        super().__init__(id, cancel)
        self.outer = outer

    @property
    def log(self) -> Log | None:  # type: ignore[override] # not the None of the class
        """The log of the outer invocation."""
        return self.outer.log

    @property
    def progress(self) -> Meter | None:  # type: ignore[override]
        """The progress of the outer invocation."""
        return self.outer.progress

    @property
    def files(self) -> Files | None:  # type: ignore[override]
        """The files of the outer invocation."""
        return self.outer.files

    def enter_thing(self, thing: Any) -> None:
        """Remember it with the run that clients know, which will make it safe."""
        self.outer.enter_thing(thing)

    def hold_until_safe(self, release: Callable[[], None]) -> None:
        """Keep it with the run that clients know."""
        self.outer.hold_until_safe(release)


def outermost_id(invocation: InvocationContext) -> UUID:
    """Return the id of the run that clients know: what it holds, the runs inside it hold too."""
    while isinstance(invocation, InnerInvocation):
        invocation = invocation.outer
    return invocation.id


class ThreadWithInvocationID(threading.Thread):
    """A thread with an invocation id and a cancel event of its own.

    Code in it can use `lt.cancellable_sleep` and its like. Started inside a run, its log records
    and its progress are that run's, and it shares the global lock that the run holds. Any thread
    may use its methods.
    """

    def __init__(
        self,
        target: Callable[..., Any],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare to call `target(*args, **kwargs)`."""
        super().__init__(daemon=True)
        self._invocation_id = uuid.uuid4()
        self._work = (target, tuple(args or ()), dict(kwargs or {}))
        self._cancel_request = CancelEvent(self._invocation_id)
        self._outer = current_invocation()
        self._surroundings = contextvars.copy_context()
        self._outcome: Any = None
        self._raised: BaseException | None = None

    @property
    def invocation_id(self) -> UUID:
        """The id of this thread's own run."""
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
        """Call `target`; what it raises is kept as `exception`."""
        target, args, kwargs = self._work
        id, cancel = self._invocation_id, self._cancel_request
        context = (
            InvocationContext(id, cancel)
            if self._outer is None
            else InnerInvocation(id, cancel, self._outer)
        )

        def work() -> None:
            with entered(context):
                self._outcome = target(*args, **kwargs)

        try:
            self._surroundings.run(work)
        except BaseException as error:  # noqa: BLE001 - kept for the one who asks
            self._raised = error
        finally:
            context.come_to_rest()  # what an outer run holds, that one gives back

    def join_and_propagate_cancel(self, poll_interval: float = 0.2) -> None:
        """Wait for the thread; if the run that waits is cancelled, cancel the thread too.

        The cancel is raised here once the thread has ended.

        Raises:
            InvocationCancelledError: the run that waits was cancelled meanwhile.
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
