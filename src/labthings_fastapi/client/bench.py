"""All Things of a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from .connection import Connection
from .description import Description
from .listing import things_of
from .thing_client import ThingClient, closed_if_it_fails, open_connection


class Bench(Mapping[str, Any]):
    """The Things of one server by name: `bench.stage`, `bench["stage"]`, `list(bench)`.

    The clients share one connection; any thread may use them. A `with` block closes it.
    """

    def __init__(
        self, connection: Connection, url: str, descriptions: Mapping[str, Description]
    ) -> None:
        """Know the descriptions; `lt.connect` makes these."""
        self._connection = connection
        self._url = url
        self._descriptions = descriptions
        self._clients: dict[str, ThingClient] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._descriptions:
            raise KeyError(f"{self._url} has no Thing called {name!r}. It has: {self._names()}.")
        if name not in self._clients:
            description = self._descriptions[name]
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
        url: the address of the server, as in "http://lab-pc:5000". Of a server of others that
            has no Thing Directory: the address of a Thing Description, or of a list of them.
        token: who asks; by default LABTHINGS_TOKEN, or what `labthings login` has stored.
        verify: True, the file of a certificate (PEM), or "sha256:<fingerprint>" of one.
        client: an `httpx2.Client` to use, such as a test client.

    Raises:
        ServerUnreachableError: nobody answers there.
        RefusedError: the server wants to know who asks.
        ClientError: it is no server of Things.
    """
    connection, address = open_connection(url, client, token, verify)
    with closed_if_it_fails(connection):
        return Bench(connection, address, connection.run(things_of(address)))
