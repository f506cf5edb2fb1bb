"""Declare a plain FastAPI route under a Thing's path, outside its Thing Description."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any, Literal

from labthings_fastapi.exceptions import AffordanceDefinitionError

from .base import BaseDescriptor, function_doc

if TYPE_CHECKING:
    from collections.abc import Callable

Method = Literal["get", "post", "put", "delete"]
METHODS = ("get", "post", "put", "delete")


class EndpointDescriptor(BaseDescriptor):
    """A method that answers HTTP requests by itself, as a FastAPI path operation does.

    An `async` endpoint runs on the server's event loop, so it must not block; a plain one runs in
    a worker thread of its Thing.
    """

    kind = "endpoint"

    def __init__(
        self,
        func: Callable[..., Any],
        http_method: Method = "get",
        path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Answer `http_method` at `path` (the method's name by default) below the Thing."""
        super().__init__()
        if http_method not in METHODS:
            raise AffordanceDefinitionError(
                f"{func.__qualname__}: {http_method!r} is not a method of endpoints; "
                f"use one of {', '.join(METHODS)}."
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
        """The path below the Thing, without a slash at its beginning."""
        return (self._path if self._path is not None else self.name).lstrip("/")

    def doc(self) -> str | None:
        """The method's docstring."""
        return function_doc(self.func)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method through its class: the Thing comes first."""
        return self.func(*args, **kwargs)

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self if obj is None else MethodType(self.func, obj)
