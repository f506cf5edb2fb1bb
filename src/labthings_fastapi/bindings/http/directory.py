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

from .descriptions import TD_MEDIA_TYPE, rendering
from .property_resources import NO_METHODS
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


class _Served:
    """One URL of the directory."""

    fallthrough_methods = NO_METHODS

    def __init__(self, what: str, get: Handler) -> None:
        self.what = what
        self.handlers = {"GET": get}


def _page(exchange: HttpResponse) -> tuple[int, int | None]:
    query: bytes = exchange.scope.get("query_string", b"")
    asked = parse_qs(query.decode("latin-1"))
    offset, limit = (_count(asked, name) for name in ("offset", "limit"))
    if limit == 0:
        raise RequestError("The limit is 0, but a page holds at least one Thing: ask for more.")
    return offset or 0, limit


def _count(asked: Mapping[str, list[str]], name: str) -> int | None:
    if name not in asked:
        return None
    value = asked[name][-1]
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise RequestError(f"The {name} is {value!r}, but must be a whole number such as 20.")
    return int(value)


class Directory:
    """What is listed; Things are added from any thread, and read on the server's event loop."""

    def __init__(
        self,
        broker: Broker,
        descriptions: Descriptions,
        executor: BoundedExecutor,
        prefix: str = "",
    ) -> None:
        """List nothing yet."""
        self.descriptions = descriptions
        self.prefix = prefix
        self._broker = broker
        self._executor = executor
        self._things: tuple[Thing, ...] = ()  # replaced, never changed
        self.server_id: Callable[[], UUID | None] = lambda: None
        """Says who the server is; may wait for the disk."""
        self.schemes: Callable[[], Sequence[str]] = tuple
        """Says how clients must show who they are."""

    def attach(self, table: Router) -> None:
        """Serve the directory, where clients look first and below the prefix."""
        description = _Served("The directory", self.get_description)
        for path in {"/.well-known/wot", f"{self.prefix}/.well-known/wot"}:
            table.add_resource(path, description)
        base = f"{self.prefix}/directory"
        table.add_resource(f"{base}/things", _Served("The list of Things", self.get_things))
        table.add_resource(
            f"{base}/things", _Served("A Thing of the directory", self.get_thing), members=True
        )
        for path in (f"{base}/events", f"{base}/events/{CREATED}"):
            table.add_resource(path, _Served("The events of the directory", self.get_events))

    def add(self, thing: Thing) -> None:
        """List a Thing; one of the same path is replaced."""
        others = tuple(each for each in self._things if each.path != thing.path)
        self._things = (*others, thing)

    def announce(self, thing: Thing) -> None:
        """Tell those who follow the directory that a Thing has come while the server runs."""
        payload = to_json({"id": _id_of(thing)})
        self._broker.publish(Message("event", "", CREATED, payload))

    async def get_description(self, exchange: HttpResponse) -> None:
        """Describe the directory itself."""
        server_id = await self._executor.run(self.server_id)
        described = describe_directory(f"{exchange.origin}{self.prefix}", server_id, self.schemes())
        await exchange.reply_known(*rendering(to_json(described)), TD_MEDIA_TYPE)

    async def get_things(self, exchange: HttpResponse) -> None:
        """List Thing Descriptions, by pages where `limit` says how many."""
        offset, limit = _page(exchange)
        things = sorted(self._things, key=lambda thing: thing.path)
        chosen = things[offset:] if limit is None else things[offset : offset + limit]
        origin = exchange.origin
        parts = [(await self.descriptions.of(thing, origin)).body for thing in chosen]
        headers = {}
        if limit is not None and offset + limit < len(things):
            following = f"{self.prefix}/directory/things?offset={offset + limit}&limit={limit}"
            headers["Link"] = f'<{origin}{following}>; rel="next"'
        body, etag = rendering(b"[" + b",".join(parts) + b"]")
        await exchange.reply_known(body, etag, "application/ld+json", headers)

    async def get_thing(self, exchange: HttpResponse) -> None:
        """Give the description of one Thing, by its id."""
        wanted = exchange.path.rpartition("/")[2]
        ids = await self._executor.run(self._ids)
        if wanted not in ids:
            raise ThingNotFoundError(f"The directory has no Thing with the id {wanted!r}.")
        body, etag = await self.descriptions.of(ids[wanted], exchange.origin)
        await exchange.reply_known(body, etag, TD_MEDIA_TYPE)

    def _ids(self) -> Mapping[str, Thing]:
        return {_id_of(thing): thing for thing in self._things}

    async def get_events(self, exchange: HttpResponse) -> None:
        """Tell of Things that are added while the server runs."""
        topic = Topic(thing="", affordance=CREATED, kinds=frozenset({"event"}))
        await stream(exchange, self._broker, topic)
