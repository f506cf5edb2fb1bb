"""Thing Descriptions as bytes: written once for each host by which clients reach the server."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import to_json

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
from labthings_fastapi.thing_description.describe import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labthings_fastapi.concurrency.bounded_executor import Workers
    from labthings_fastapi.thing import Thing
    from labthings_fastapi.thing_description.protocols import FormWriter

TD_MEDIA_TYPE = "application/td+json"
MAX_KEPT = 1000


class Rendering(NamedTuple):
    """A document that is ready to be sent, and the tag by which clients know it again."""

    body: bytes
    etag: str


def rendering(body: bytes) -> Rendering:
    """Tag a document by what is in it."""
    return Rendering(body, f'"{hashlib.sha256(body).hexdigest()[:24]}"')


class Descriptions:
    """The descriptions of Things, by host; used on the server's event loop.

    They are written on workers, because defaults come from code of the Thing. Clients choose the
    `Host` that they send, so only the latest are kept.
    """

    def __init__(self, workers: Workers, writers: Sequence[FormWriter]) -> None:
        """Describe Things as these bindings offer them."""
        self._executor = BoundedExecutor(workers, "the Thing Descriptions", limit=2)
        self._writers = writers
        self._kept: OrderedDict[tuple[str, ...], Rendering] = OrderedDict()

    def offer(self, writers: Sequence[FormWriter]) -> None:
        """Describe Things as offered by other bindings; before the first request."""
        self._writers = writers

    async def of(self, thing: Thing, origin: str) -> Rendering:
        """Return the description for clients that reach the server at `origin`."""
        schemes = thing._thing_server_interface.security_schemes
        key = origin, thing.path, thing.title, *schemes
        found = self._kept.get(key)
        if found is None:
            found = await self._executor.run(self._write, thing, origin)
            self._kept[key] = found
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return found

    def _write(self, thing: Thing, origin: str) -> Rendering:
        house = thing._thing_server_interface
        description = describe(
            thing,
            self._writers,
            base=origin,
            server_id=house.server_id,
            schemes=house.security_schemes,
        )
        return rendering(to_json(description))
