"""Thing Descriptions as bytes, written once for each URL by which clients reach the server."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import to_json

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, UserCodeExit
from labthings_fastapi.exceptions import TooBusyError, describe_exception
from labthings_fastapi.thing_description.describe import describe
from labthings_fastapi.thing_description.directory import TD_MEDIA_TYPE
from labthings_fastapi.thing_description.paths import name_of, path_of, title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from labthings_fastapi.concurrency.bounded_executor import Workers
    from labthings_fastapi.thing import Thing
    from labthings_fastapi.thing_description.protocols import FormWriter

MAX_KEPT = 1000


class Rendering(NamedTuple):
    """A document that is ready to be sent, and its entity tag (RFC 9110, section 8.8.3)."""

    body: bytes
    etag: str


def rendering(body: bytes) -> Rendering:
    """Return a document with a tag made from its content."""
    return Rendering(body, f'"{hashlib.sha256(body).hexdigest()[:24]}"')


class Descriptions:
    """The descriptions of Things, by base URL; used on the server's event loop.

    They are written on worker threads, because defaults come from code of the Thing. Clients choose
    the `Host` that they send, so the number of descriptions that are kept is limited.
    """

    def __init__(self, workers: Workers, writers: Sequence[FormWriter], prefix: str = "") -> None:
        self._executor = BoundedExecutor(workers, "the Thing Descriptions", limit=2)
        self._writers = writers
        self._prefix = prefix
        self.page_of: Callable[[str], str] | None = None
        """Returns the path of the web page of a Thing, by its name; None: there is no such page."""
        self._kept: OrderedDict[tuple[str, ...], Rendering] = OrderedDict()

    def links(self, base_url: str, name: str) -> list[dict[str, str]]:
        """Return the links of the description of a Thing (WoT Profiles, section 5.5)."""
        base = f"{base_url}{self._prefix}"
        found = [
            {"rel": "collection", "href": f"{base}/.well-known/wot", "type": TD_MEDIA_TYPE},
            {"rel": "service-doc", "href": f"{base}/docs", "type": "text/html"},
        ]
        if self.page_of is not None:
            page = f"{base}{self.page_of(name)}"
            found.append({"rel": "alternate", "href": page, "type": "text/html"})
        return found

    def offer(self, writers: Sequence[FormWriter]) -> None:
        """Use the forms of these bindings from now on; called before the first request."""
        self._writers = writers

    async def of(self, thing: Thing, base_url: str) -> Rendering:
        """Return the description for clients that reach the server at `base_url`."""
        schemes = thing._thing_server_interface.security_schemes
        if isinstance(type(thing).title, str):
            title = title_of(thing)
        else:  # code of the Thing
            title = await self._executor.run(title_of, thing)
        key = base_url, path_of(thing), title, *schemes
        description = self._kept.get(key)
        if description is None:
            description = await self._executor.run(self._write, thing, base_url)
            self._kept[key] = description
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return description

    async def of_each(
        self, things: Iterable[Thing], base_url: str
    ) -> list[tuple[Thing, Rendering]]:
        """Return the descriptions of all these Things that can be described.

        One that cannot is logged; it must not hide the others.
        """
        found = []
        for thing in things:
            try:
                found.append((thing, await self.of(thing, base_url)))
            except TooBusyError:
                raise
            except Exception as error:  # noqa: BLE001 - defaults and titles come from users' code
                raised = error.raised if isinstance(error, UserCodeExit) else error
                thing_log(name_of(thing)).error(
                    "It is missing in a list of Things, because it cannot be described: %s",
                    describe_exception(raised),
                )
        return found

    def _write(self, thing: Thing, base_url: str) -> Rendering:
        interface = thing._thing_server_interface
        description = describe(
            thing,
            self._writers,
            base=base_url,
            server_id=interface.server_id,
            links=self.links(base_url, name_of(thing)),
            **interface.description_options,
        )
        return rendering(to_json(description))
