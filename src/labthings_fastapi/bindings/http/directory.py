"""The directory of all Things of a server (W3C WoT Discovery, section 7), for reading."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

from pydantic_core import to_json

from labthings_fastapi.exceptions import ThingNotFoundError
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.thing_description.describe import thing_id
from labthings_fastapi.thing_description.directory import (
    EVENTS,
    LIST_MEDIA_TYPE,
    TD_MEDIA_TYPE,
    describe_directory,
)
from labthings_fastapi.thing_description.paths import path_of

from .descriptions import rendering
from .directory_pages import Page, link_header, list_body, list_etag, refuse_diff
from .router import NO_METHODS
from .streams import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
    from labthings_fastapi.messages.broker import Broker
    from labthings_fastapi.thing import Thing

    from .descriptions import Descriptions
    from .request_response import HttpResponse
    from .router import Handler, Router


def _id_of(thing: Thing) -> str:
    return thing_id(thing, thing._thing_server_interface.server_id)


class _DirectoryResource:
    """One URL of the directory, or one pattern of URLs."""

    fallthrough_methods = NO_METHODS

    def __init__(self, label: str, get: Handler) -> None:
        self.label = label
        self.handlers = {"GET": get}


class Directory:
    """The list of all Things, over HTTP.

    Any thread may add a Thing; requests are answered on the server's event loop.
    """

    def __init__(
        self,
        broker: Broker,
        descriptions: Descriptions,
        executor: BoundedExecutor,
        prefix: str = "",
    ) -> None:
        self.descriptions = descriptions
        self.prefix = prefix
        self._broker = broker
        self._executor = executor
        self._things: tuple[Thing, ...] = ()  # replaced, never changed
        self.server_id: Callable[[], UUID | None] = lambda: None
        """Returns the id of the server; may wait for the disk."""
        self.schemes: Callable[[], Sequence[str]] = tuple
        """Returns the security schemes by which clients authenticate."""

    def attach(self, router: Router) -> None:
        """Serve the directory below the prefix, and its description at the well-known path too."""
        description = _DirectoryResource("The directory", self.get_description)
        for path in {"/.well-known/wot", f"{self.prefix}/.well-known/wot"}:
            router.add_resource(path, description)
        base = f"{self.prefix}/directory"
        things = _DirectoryResource("The list of Things", self.get_things)
        router.add_resource(f"{base}/things", things)
        thing = _DirectoryResource("A Thing of the directory", self.get_thing)
        router.add_collection(f"{base}/things", thing)
        for kind in (None, *EVENTS):
            events = _DirectoryResource(
                "The events of the directory", partial(self.get_events, kind=kind)
            )
            router.add_resource(f"{base}/events/{kind}" if kind else f"{base}/events", events)

    def add(self, thing: Thing) -> None:
        """List a Thing; it replaces a Thing with the same path."""
        others = tuple(each for each in self._things if path_of(each) != path_of(thing))
        self._things = (*others, thing)

    def announce(self, thing: Thing) -> None:
        """Publish that a Thing was added while the server runs."""
        payload = to_json({"id": _id_of(thing)})
        self._broker.publish(Message("event", "", "thing_created", payload))

    async def get_description(self, response: HttpResponse) -> None:
        """Describe the directory itself."""
        server_id = await self._executor.run(self.server_id)
        ids = await self._executor.run(self._ids)
        urls = [f"{response.base_url}{path_of(thing)}" for thing in ids.values()]
        base = f"{response.base_url}{self.prefix}"
        described = describe_directory(base, server_id, self.schemes(), urls)
        await response.send_unless_known(*rendering(to_json(described)), TD_MEDIA_TYPE)

    async def get_things(self, response: HttpResponse) -> None:
        """List Thing Descriptions, by id: all of them, or a page of `limit`."""
        page = Page.of_query(response.scope.get("query_string", b""))
        ids = await self._executor.run(self._ids)
        described = await self.descriptions.of_each(page.of([*ids.values()]), response.base_url)
        url = f"{response.base_url}{self.prefix}/directory/things"
        body = list_body(page, len(ids), url, [rendered.body for _, rendered in described])
        etag = list_etag([(id, path_of(thing)) for id, thing in ids.items()])
        links = {"Link": link_header(page, len(ids), url, etag)}
        await response.send_unless_known(*rendering(body), LIST_MEDIA_TYPE, links)

    async def get_thing(self, response: HttpResponse) -> None:
        """Send the description of one Thing, by its id."""
        id = response.path.rpartition("/")[2]
        ids = await self._executor.run(self._ids)
        if id not in ids:
            raise ThingNotFoundError(f"The directory has no Thing with the id {id!r}.")
        body, etag = await self.descriptions.of(ids[id], response.base_url)
        await response.send_unless_known(body, etag, TD_MEDIA_TYPE)

    def _ids(self) -> Mapping[str, Thing]:
        """Return the Things by id, in the order of the code points of the ids."""
        return dict(sorted(((_id_of(each), each) for each in self._things), key=itemgetter(0)))

    async def get_events(self, response: HttpResponse, *, kind: str | None) -> None:
        """Stream the ids of Things that are added while the server runs."""
        refuse_diff(response.scope.get("query_string", b""))
        topic = Topic(thing="", affordance=kind, kinds=frozenset({"event"}))
        await stream(response, self._broker, topic)
