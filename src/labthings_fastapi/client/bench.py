"""All Things of a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import urljoin

from labthings_fastapi.exceptions import ClientError

from .connection import Connection
from .description import Description
from .problems import request_error
from .protocol import fetch
from .steps import Answer, Request, Steps
from .thing_client import ThingClient, closed_if_it_fails, open_connection


class Bench(Mapping[str, Any]):
    """The Things of one server by name: `bench.stage`, `bench["stage"]`, `list(bench)`.

    The clients share one connection; any thread may use them. A `with` block closes it.
    """

    def __init__(self, connection: Connection, url: str, descriptions: dict[str, Any]) -> None:
        """Know the descriptions; `lt.connect` makes these."""
        self._connection = connection
        self._url = url
        self._descriptions = descriptions
        self._clients: dict[str, ThingClient] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._descriptions:
            raise KeyError(f"{self._url} has no Thing called {name!r}. It has: {self._names()}.")
        if name not in self._clients:
            place = urljoin(self._url, f"{name}/")
            description = Description(place, self._descriptions[name])
            made = ThingClient._made(self._connection, description, rich=True, owner=False)
            self._clients.setdefault(name, made)
        return self._clients[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(str(error.args[0])) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._descriptions)

    def __len__(self) -> int:
        return len(self._descriptions)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._descriptions]

    def _names(self) -> str:
        return ", ".join(self._descriptions) or "none"

    def __repr__(self) -> str:
        return f"<Things of {self._url}: {self._names()}>"

    def close(self) -> None:
        """Close the connection. A `with` block does it too."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    url: str, *, token: str | None = None, verify: bool | str = True, client: Any = None
) -> Bench:
    """Return the Things of a server, with values as Python has them.

    Values are numpy arrays, aware datetimes, and objects with attributes, where the descriptions
    say so. `ThingClient.from_url` gives plain JSON values.

    Args:
        url: the address of the server, as in "http://lab-pc:5000".
        token: who asks; by default LABTHINGS_TOKEN, or what `labthings login` has stored.
        verify: True, the file of a certificate (PEM), or "sha256:<fingerprint>" of one.
        client: an `httpx2.Client` to use, such as a test client.

    Raises:
        ServerUnreachableError: nobody answers there.
        RefusedError: the server wants to know who asks.
        ClientError: it is no server of Things.
    """
    connection, address = open_connection(url, client, token, verify)
    place = address if address.endswith("/") else f"{address}/"
    with closed_if_it_fails(connection):
        return Bench(connection, place, connection.run(descriptions_of(place)))


def descriptions_of(place: str) -> Steps[dict[str, Any]]:
    """Get the Thing Descriptions of a server by name."""
    answer: Answer = yield from fetch(Request("GET", urljoin(place, "thing_descriptions/")))
    if answer.ok:
        found = answer.json()
        if isinstance(found, dict):
            return {str(name): each for name, each in found.items() if "title" in each}
    if answer.status in (401, 403):
        raise request_error(answer, f"The Things of {place} cannot be listed")
    return (yield from _directory_of(place))


def _directory_of(place: str) -> Steps[dict[str, Any]]:
    """Get the descriptions from a Thing Directory (W3C WoT Discovery, 7.3)."""
    address = urljoin(place, ".well-known/wot")
    answer: Answer = yield from fetch(Request("GET", address))
    if not answer.ok:
        raise ClientError(f"{place} is no server of Things: it has neither a list nor a directory.")
    found = answer.json()
    if not isinstance(found, dict) or "ThingDirectory" not in str(found.get("@type")):
        return {_name_of(found): found} if isinstance(found, dict) else {}
    things = Description(address, found).form("properties", "things", "readproperty")
    if things is None:
        raise ClientError(f"The directory of {place} does not say where its Things are.")
    listed: Answer = yield from fetch(Request("GET", things.url()))
    if not listed.ok:
        raise request_error(listed, f"The directory of {place} cannot be read")
    return {_name_of(each): each for each in listed.json() if isinstance(each, dict)}


def _name_of(members: Mapping[str, Any]) -> str:
    return str(members.get("title") or members.get("id"))
