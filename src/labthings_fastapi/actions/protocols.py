"""What invocations need of the packages above, and what those may use of invocations."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, runtime_checkable
from uuid import UUID

from pydantic import BaseModel

from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.schemas.values import ValueSchema

from .results import InvocationFiles

Policy = Literal["parallel", "queue", "reject", "replace"]
"""What an action does while the lock of its group is taken."""


class Runnable(Protocol):
    """What can be invoked: an `ActionDescriptor`, whose options are explained there."""

    @property
    def name(self) -> str: ...
    @property
    def retention_time(self) -> float: ...
    @property
    def response_timeout(self) -> float: ...
    @property
    def func(self) -> Callable[..., Any]: ...
    @property
    def concurrency(self) -> Policy: ...
    @property
    def group(self) -> str | None: ...
    @property
    def timeout(self) -> float | None: ...
    @property
    def stop(self) -> bool: ...
    @property
    def on_cancel(self) -> str | None: ...
    @property
    def invocation_model(self) -> type[BaseModel]: ...
    @property
    def output_schema(self) -> ValueSchema[Any]: ...
    @property
    def result_schema(self) -> ValueSchema[Any] | None: ...
    @property
    def collects_results(self) -> bool: ...
    def guard(self, thing: Any) -> AbstractContextManager[None]:
        """Hold the global lock while it runs; raise `GlobalLockBusyError` if that is taken."""


class Host(Protocol):
    """What has actions: a `Thing`. For its name and path see `name_of` and `path_of`."""

    @property
    def _thing_server_interface(self) -> Any: ...


class UrlSource(Protocol):
    """Builds absolute URLs: a Starlette request."""

    def url_for(self, name: str, /, **path_params: Any) -> Any: ...


@runtime_checkable
class BelongsToInvocation(Protocol):
    """An injected object that needs its invocation, such as a logger."""

    def enter_invocation(self, invocation: Any) -> None:
        """Receive the `InvocationContext`, just before the action's function is called."""


class App(Protocol):
    """A FastAPI app, for code that imports no web framework."""

    def include_router(self, router: Any, *, prefix: str = "") -> None: ...


class KnownInvocation(Protocol):
    """An invocation that a client knows: an `Invocation` or a `RecordedInvocation`."""

    @property
    def id(self) -> UUID: ...
    @property
    def commit(self) -> Future[None] | None: ...
    @property
    def response_timeout(self) -> float: ...
    @property
    def output(self) -> Any: ...
    @property
    def files(self) -> InvocationFiles: ...
    def snapshot(self, *, log: bool = False) -> InvocationRecord: ...
    def cancel(self) -> bool: ...
    def on_end(self, waiter: Callable[[], None]) -> Callable[[], None]: ...
