"""What invocations need of the packages above, and what those may use of invocations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from labthings_fastapi.schemas.values import ValueSchema

Policy = Literal["parallel", "queue", "reject", "replace"]
"""What an action does while the lock of its group is taken."""


class Runnable(Protocol):
    """What can be invoked: an `ActionDescriptor`, whose options are explained there."""

    retention_time: float
    response_timeout: float
    concurrency: Policy
    group: str | None
    timeout: float | None
    stop: bool
    on_cancel: str | None

    @property
    def name(self) -> str: ...
    @property
    def func(self) -> Callable[..., Any]: ...
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


class HasRunnable(Protocol):
    """What stands for an action: an `ActionInfo`."""

    @property
    def descriptor(self) -> Runnable: ...


def runnable(action: Runnable | HasRunnable) -> Runnable:
    """Return the action itself, also from the entry of `thing.actions` that stands for it."""
    found: Any = action
    return getattr(found, "descriptor", found)  # type: ignore[no-any-return]


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
