"""What a run needs to know of the rooms above it: two small Protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pydantic import BaseModel


class Runnable(Protocol):
    """Something with a name, a retention time and a way to be called: an `ActionDescriptor`."""

    @property
    def name(self) -> str:
        """The name under which clients invoke it."""

    @property
    def retention_time(self) -> float:
        """Seconds for which a finished run is kept."""

    @property
    def response_timeout(self) -> float:
        """Seconds that a client waits who asks with a bare `Prefer: wait`."""

    @property
    def func(self) -> Callable[..., Any]:
        """The function: takes the Thing, then keyword arguments."""

    @property
    def concurrency(self) -> Literal["parallel", "queue", "reject", "replace"]:
        """What happens when the place of its group is taken."""

    @property
    def group(self) -> str | None:
        """Whose place it shares; its own if None."""

    @property
    def stop(self) -> bool:
        """Whether it is an emergency stop, which asks nobody."""

    @property
    def on_cancel(self) -> str | None:
        """The name of the Thing's method that tidies up after a cancel, an error or a shutdown."""

    def guard(self, thing: Any) -> AbstractContextManager[None]:
        """Hold what must be held while it runs; raise `GlobalLockBusyError` if that is taken."""

    @property
    def invocation_model(self) -> type[BaseModel]:
        """The model of its runs: a parametrised `GenericInvocationModel`."""

    @property
    def output_schema(self) -> OutputSchema:
        """What the function promises to return."""

    @property
    def result_schema(self) -> OutputSchema | None:
        """What a generator promises to yield; None for other functions."""

    @property
    def collects_results(self) -> bool:
        """Whether a generator's output is the list of what it yielded, not what it returned."""


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
    """Whatever can build absolute URLs: a Starlette request."""

    def url_for(self, name: str, /, **path_params: Any) -> Any:
        """Return the URL of a named route."""


@runtime_checkable
class BelongsToInvocation(Protocol):
    """An injected object that wants to know its run, such as a logger."""

    def enter_invocation(self, invocation: Any) -> None:
        """Learn the `InvocationContext`, just before the action's function is called."""


class App(Protocol):
    """A FastAPI app, for rooms that know no web framework."""

    def include_router(self, router: Any, *, prefix: str = "") -> None:
        """Add routes."""


class Log(Protocol):
    """Where the records of a run are kept: a `InvocationLog`."""

    @property
    def records(self) -> list[logging.LogRecord]:
        """A copy of what is kept, oldest first."""

    def keep(self, record: logging.LogRecord) -> None:
        """Keep a record."""


class Meter(Protocol):
    """Where a run reports how far it is: a `ProgressMeter`."""

    def report(
        self, done: float, total: float | None, message: str | None, unit: str | None
    ) -> None:
        """Keep a report."""

    def enter(self, step: Any) -> None:
        """Begin to track a loop."""

    def leave(self, step: Any) -> None:
        """Stop tracking a loop."""


class Files(Protocol):
    """Where a run leaves files: a `InvocationFiles`."""

    @property
    def directory(self) -> Path:
        """The folder, which exists."""
