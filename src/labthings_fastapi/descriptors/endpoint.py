"""Declare a plain FastAPI route under a Thing's path, outside its Thing Description."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any, Literal

from labthings_fastapi.exceptions import DeclarationTypeError

from .base import BaseDescriptor, function_doc
from .functions import require_method

if TYPE_CHECKING:
    from collections.abc import Callable

Method = Literal["get", "post", "put", "delete"]
METHODS = ("get", "post", "put", "delete")


class EndpointDescriptor(BaseDescriptor):
    """A method that is a FastAPI path operation.

    An `async` method runs on the server's event loop and must not block; any other method runs in
    a worker thread of its Thing.
    """

    kind = "endpoint"
    declared_by = "`@lt.endpoint`"

    def __init__(
        self,
        func: Callable[..., Any],
        http_method: Method = "get",
        path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Serve `http_method` at `path` (by default the method's name) below the Thing."""
        super().__init__()
        require_method(func, "an endpoint")
        if http_method not in METHODS:
            raise DeclarationTypeError(
                f"{func.__qualname__}: {http_method!r} is not an HTTP method of endpoints. "
                f"Use one of {', '.join(METHODS)}."
            )
        self.func = func
        self.http_method = http_method
        self._path = path
        self.kwargs = kwargs
        self.__doc__ = func.__doc__
        self.__name__ = func.__name__
        self.__wrapped__ = func

    @property
    def path(self) -> str:
        """The path below the Thing, without a leading slash."""
        return (self._path if self._path is not None else self.name).lstrip("/")

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The method."""
        return (self.func,)

    def doc(self) -> str | None:
        """Return the method's docstring."""
        return function_doc(self.func)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method through its class; the first argument is the Thing."""
        return self.func(*args, **kwargs)

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self.seen_from(owner) if obj is None else MethodType(self.func, obj)
