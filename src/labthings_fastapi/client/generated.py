"""What generated clients derive from: Things with annotations for type checkers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

from pydantic import ConfigDict, TypeAdapter
from pydantic.errors import PydanticUserError

from labthings_fastapi.outputs.blob import Blob

from .async_thing_client import AsyncThingClient
from .rich import RemoteBlob
from .thing_client import ThingClient


@lru_cache(maxsize=512)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a TypedDict has a configuration of its own
        return TypeAdapter(kind)


def _typed(value: Any, kind: Any) -> Any:
    """Return a JSON value as the type that the generated code promises.

    Raises:
        pydantic.ValidationError: it is not of that type; generate the client again.
    """
    if isinstance(value, RemoteBlob) or kind in (Any, Blob):
        return value
    return _adapter(kind).validate_python(value)


class GeneratedThing:
    """A Thing whose properties and actions are written out; any thread may use it.

    A `with` block closes it. `client_` has what is not written out: `observe`, `subscribe`,
    `start`, `attach`.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        verify: bool | str = True,
        progress: bool | None = None,
    ) -> None:
        """Connect to the Thing whose description is at `url`; see `ThingClient.from_url`."""
        self.client_: ThingClient = ThingClient.from_url(
            url, arrays="described", token=token, verify=verify, progress=progress
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client_._close()

    def _read(self, name: str, kind: Any) -> Any:
        return _typed(ThingClient.get_property(self.client_, name), kind)

    def _write(self, name: str, value: Any) -> None:
        ThingClient.set_property(self.client_, name, value)

    def _call(self, name: str, kind: Any, /, *args: Any, **kwargs: Any) -> Any:
        return _typed(ThingClient._call(self.client_, name, args, kwargs), kind)


class AsyncGeneratedThing:
    """The same with `await`; for the event loop on which it is made."""

    def __init__(self, client: AsyncThingClient) -> None:
        """Use a client; `connect_` makes both."""
        self.client_ = client

    @classmethod
    async def connect_(
        cls, url: str, *, token: str | None = None, verify: bool | str = True
    ) -> Self:
        """Connect to the Thing whose description is at `url`."""
        return cls(
            await AsyncThingClient.from_url(url, arrays="described", token=token, verify=verify)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await AsyncThingClient.close(self.client_)

    async def _read(self, name: str, kind: Any) -> Any:
        return _typed(await AsyncThingClient.get_property(self.client_, name), kind)

    async def _write(self, name: str, value: Any) -> None:
        await AsyncThingClient.set_property(self.client_, name, value)

    async def _call(self, name: str, kind: Any, /, *args: Any, **kwargs: Any) -> Any:
        client = self.client_
        return _typed(await AsyncThingClient._call(client, name, args, kwargs), kind)


def given_(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are not None: the others are left to the server's defaults."""
    return {name: value for name, value in arguments.items() if value is not None}
