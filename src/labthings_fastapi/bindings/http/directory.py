"""The directory of all Things of a server (W3C WoT Discovery, section 7), for reading."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from pydantic_core import to_json

from labthings_fastapi.exceptions import RequestError, ThingNotFoundError
from labthings_fastapi.messages.message import Message
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.thing_description.describe import thing_id
from labthings_fastapi.thing_description.directory import describe_directory
from labthings_fastapi.thing_description.paths import path_of

from .descriptions import TD_MEDIA_TYPE, rendering
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

CREATED = "thing_created"


def _id_of(thing: Thing) -> str:
    return thing_id(thing, thing._thing_server_interface.server_id)


class _DirectoryResource:
    """One URL of the directory, or one pattern of URLs."""

    fallthrough_methods = NO_METHODS

    def __init__(self, label: str, get: Handler) -> None:
        self.label = label
        self.handlers = {"GET": get}


def _page(response: HttpResponse) -> tuple[int, int | None]:
    """Return offset and limit from the query; a limit of None means all."""
    query: bytes = response.scope.get("query_string", b"")
    parameters = parse_qs(query.decode("latin-1"))
    offset, limit = (_number(parameters, name) for name in ("offset", "limit"))
    if limit == 0:
        raise RequestError("The limit is 0, but must be at least 1.")
    return offset or 0, limit


def _number(parameters: Mapping[str, list[str]], name: str) -> int | None:
    if name not in parameters:
        return None
    value = parameters[name][-1]
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise RequestError(f"The {name} is {value!r}, but must be a whole number such as 20.")
    return int(value)


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
        events = _DirectoryResource("The events of the directory", self.get_events)
        for path in (f"{base}/events", f"{base}/events/{CREATED}"):
            router.add_resource(path, events)

    def add(self, thing: Thing) -> None:
        """List a Thing; it replaces a Thing with the same path."""
        others = tuple(each for each in self._things if path_of(each) != path_of(thing))
        self._things = (*others, thing)

    def announce(self, thing: Thing) -> None:
        """Publish that a Thing was added while the server runs."""
        payload = to_json({"id": _id_of(thing)})
        self._broker.publish(Message("event", "", CREATED, payload))

    async def get_description(self, response: HttpResponse) -> None:
        """Describe the directory itself."""
        server_id = await self._executor.run(self.server_id)
        described = describe_directory(
            f"{response.base_url}{self.prefix}", server_id, self.schemes()
        )
        await response.send_unless_known(*rendering(to_json(described)), TD_MEDIA_TYPE)

    async def get_things(self, response: HttpResponse) -> None:
        """List Thing Descriptions: all of them, or a page of `limit`."""
        offset, limit = _page(response)
        things = sorted(self._things, key=path_of)
        page = things[offset:] if limit is None else things[offset : offset + limit]
        base_url = response.base_url
        described = await self.descriptions.of_each(page, base_url)
        parts = [description.body for _, description in described]
        headers = {}
        if limit is not None and offset + limit < len(things):
            query = f"offset={offset + limit}&limit={limit}"
            headers["Link"] = f'<{base_url}{self.prefix}/directory/things?{query}>; rel="next"'
        body, etag = rendering(b"[" + b",".join(parts) + b"]")
        await response.send_unless_known(body, etag, "application/ld+json", headers)

    async def get_thing(self, response: HttpResponse) -> None:
        """Send the description of one Thing, by its id."""
        id = response.path.rpartition("/")[2]
        ids = await self._executor.run(self._ids)
        if id not in ids:
            raise ThingNotFoundError(f"The directory has no Thing with the id {id!r}.")
        body, etag = await self.descriptions.of(ids[id], response.base_url)
        await response.send_unless_known(body, etag, TD_MEDIA_TYPE)

    def _ids(self) -> Mapping[str, Thing]:
        return {_id_of(thing): thing for thing in self._things}

    async def get_events(self, response: HttpResponse) -> None:
        """Stream the ids of Things that are added while the server runs."""
        topic = Topic(thing="", affordance=CREATED, kinds=frozenset({"event"}))
        await stream(response, self._broker, topic)
