"""What invocations need of the packages above, and what those may use of invocations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from pathlib import Path
    from uuid import UUID

    from pydantic import BaseModel

    from labthings_fastapi.journal.record import InvocationRecord

    from .results import InvocationFiles


class Runnable(Protocol):
    """Something with a name, a retention time and a way to be called: an `ActionDescriptor`."""

    @property
    def name(self) -> str:
        """The name under which clients invoke it."""

    @property
    def retention_time(self) -> float:
        """Seconds for which a finished invocation is kept."""

    @property
    def response_timeout(self) -> float:
        """Seconds that a client waits who sends a bare `Prefer: wait`."""

    @property
    def func(self) -> Callable[..., Any]:
        """The function: takes the Thing, then keyword arguments."""

    @property
    def concurrency(self) -> Literal["parallel", "queue", "reject", "replace"]:
        """What happens while the lock of its group is taken."""

    @property
    def group(self) -> str | None:
        """The group whose lock it shares; its own if None."""

    @property
    def stop(self) -> bool:
        """Whether it is an emergency stop, which passes locks and limits."""

    @property
    def on_cancel(self) -> str | None:
        """The name of the Thing's method to call after a cancel, an error or a shutdown."""

    def guard(self, thing: Any) -> AbstractContextManager[None]:
        """Hold the global lock while it runs; raise `GlobalLockBusyError` if that is taken."""

    @property
    def invocation_model(self) -> type[BaseModel]:
        """The model of its invocations: a parametrised `GenericInvocationModel`."""

    @property
    def output_schema(self) -> OutputSchema:
        """Checks what the function returns."""

    @property
    def result_schema(self) -> OutputSchema | None:
        """Checks what a generator yields; None for other functions."""

    @property
    def collects_results(self) -> bool:
        """Whether the output of a generator is the list of what it yielded."""


class OutputSchema(Protocol):
    """Checks a value against a type and writes it as JSON."""

    def validate(self, value: Any) -> Any:
        """Return the value as the type has it; raise `pydantic.ValidationError` if it is not."""

    def to_json(self, value: Any, context: Any = None) -> bytes:
        """Write a validated value; raise `UnserialisableValueError` if that cannot be done."""


class Host(Protocol):
    """Something with a name and a path: a `Thing`."""

    @property
    def name(self) -> str:
        """The name on the server."""

    @property
    def path(self) -> str:
        """The path in URLs, with a slash at both ends."""


class UrlSource(Protocol):
    """Builds absolute URLs: a Starlette request."""

    def url_for(self, name: str, /, **path_params: Any) -> Any:
        """Return the URL of a named route."""


@runtime_checkable
class BelongsToInvocation(Protocol):
    """An injected object that needs its invocation, such as a logger."""

    def enter_invocation(self, invocation: Any) -> None:
        """Receive the `InvocationContext`, just before the action's function is called."""


class App(Protocol):
    """A FastAPI app, for code that imports no web framework."""

    def include_router(self, router: Any, *, prefix: str = "") -> None:
        """Add routes."""


class Log(Protocol):
    """The log of an invocation: an `InvocationLog`."""

    @property
    def records(self) -> list[logging.LogRecord]:
        """A copy of what is kept, oldest first."""

    def keep(self, record: logging.LogRecord) -> None:
        """Keep a record."""


class Meter(Protocol):
    """The progress of an invocation: a `ProgressMeter`."""

    def report(
        self, done: float, total: float | None, message: str | None, unit: str | None
    ) -> None:
        """Keep a report."""

    def enter(self, step: Any) -> None:
        """Begin to track a loop."""

    def leave(self, step: Any) -> None:
        """Stop tracking a loop."""


class Files(Protocol):
    """The files of an invocation: `InvocationFiles`."""

    @property
    def directory(self) -> Path:
        """The folder, which exists."""


class KnownInvocation(Protocol):
    """An invocation that a client knows: an `Invocation`, or its record in the journal."""

    @property
    def id(self) -> UUID:
        """The id under which clients know it."""

    @property
    def commit(self) -> Future[None] | None:
        """Done when the journal has it; None without a journal, or after the end."""

    @property
    def response_timeout(self) -> float:
        """Seconds that a client waits who sends a bare `Prefer: wait`."""

    @property
    def output(self) -> Any:
        """The return value of the action; None if there is none, or it is no longer in memory."""

    @property
    def files(self) -> InvocationFiles:
        """The files of the invocation."""

    def snapshot(self, *, log: bool = False) -> InvocationRecord:
        """Return what clients may see now; `log` includes the log."""

    def cancel(self) -> bool:
        """Ask the code to stop; return False if it has ended."""

    def on_end(self, waiter: Callable[[], None]) -> Callable[[], None]:
        """Call `waiter` once clients may see the end; returns what removes the waiter."""
