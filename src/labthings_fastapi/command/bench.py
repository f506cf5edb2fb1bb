"""The server that a command is about, and the Things, properties and actions that it names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import typer

from labthings_fastapi.client.connection import Connection, ServerAddress
from labthings_fastapi.client.description import Description, Kind
from labthings_fastapi.client.listing import things_of
from labthings_fastapi.client.protocol import ThingProtocol
from labthings_fastapi.client.steps import Steps
from labthings_fastapi.exceptions import ClientError, RefusedError, ServerUnreachableError

from .exit_codes import NoThingsError, UsageError

T = TypeVar("T")
DEFAULT_SERVER = "http://127.0.0.1:5000"
_WORDS: dict[Kind, str] = {"properties": "property", "actions": "action", "events": "event"}

Server = Annotated[
    str,
    typer.Option(
        "--server", metavar="URL", envvar="LABTHINGS_SERVER", help="The address of the server."
    ),
]
Verify = Annotated[
    str,
    typer.Option(
        "--verify",
        metavar="FILE|sha256:…",
        envvar="LABTHINGS_VERIFY",
        help="The certificate of the server (PEM), or its fingerprint.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def place_of(server: str) -> str:
    """Return the address of a server with a slash at its end."""
    address = server if "://" in server else f"http://{server}"
    return address if address.endswith("/") else f"{address}/"


class CommandBench:
    """One server, for the duration of a command; any thread may use it."""

    def __init__(self, server: str, verify: str = "", token: str | None = None) -> None:
        """Open a connection; nothing is sent yet."""
        self.place = place_of(server)
        self._url = server if "://" in server else f"http://{server}"
        self.connection = Connection(ServerAddress(self.place, token, verify or True))
        self._things: Mapping[str, Description] | None = None

    def run(self, steps: Steps[T]) -> T:
        """Carry out steps of the protocol."""
        return self.connection.run(steps)

    @property
    def things(self) -> Mapping[str, Description]:
        """The Things of the server by name.

        Raises:
            NoThingsError: it is no server of Things.
        """
        if self._things is None:
            try:
                self._things = self.run(things_of(self._url))
            except (ServerUnreachableError, RefusedError):
                raise
            except (ClientError, ValueError, TypeError) as error:
                raise NoThingsError(str(error)) from error
        return self._things

    @property
    def descriptions(self) -> Mapping[str, Any]:
        """The Thing Descriptions of the server by name; see `things`."""
        return {name: each.members for name, each in self.things.items()}

    def thing(self, name: str) -> ThingProtocol:
        """Return a Thing by its name.

        Raises:
            UsageError: the server has none of that name.
        """
        if name not in self.things:
            raise UsageError(f"{self.place} has no Thing {_unknown(name, self.things)}")
        return ThingProtocol(self.things[name])

    def affordance(self, target: str, kind: Kind) -> Affordance:
        """Return what `thing.name` means.

        Raises:
            UsageError: there is nothing of that name and kind.
        """
        things = [name for name in self.things if target.startswith(f"{name}.")]
        word = _WORDS[kind]
        if not things:
            thing, dot, _ = target.partition(".")
            if not dot:
                raise UsageError(f"Write the {word} with its Thing, as in `{target}.<{word}>`.")
            self.thing(thing)
        found = max(things, key=len, default="")  # names of others may have dots
        protocol, name = self.thing(found), target.removeprefix(f"{found}.")
        known = protocol.description.affordances(kind)
        if name not in known:
            raise UsageError(f"{found!r} has no {word} {_unknown(name, known)}")
        return Affordance(found, name, protocol, known[name])


class Affordance:
    """A property, action or event that was named in a command."""

    def __init__(
        self, thing: str, name: str, protocol: ThingProtocol, schema: Mapping[str, Any]
    ) -> None:
        """Keep its Thing and what the description says about it."""
        self.thing = thing
        self.name = name
        self.protocol = protocol
        self.schema = schema

    def __str__(self) -> str:
        return f"{self.thing}.{self.name}"


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(names) or 'none'}."
    return f"called {name!r}. {hint}"


@contextmanager
def bench(server: str, verify: str = "", token: str | None = None) -> Iterator[CommandBench]:
    """Open the connection for a `with` block."""
    opened = CommandBench(server, verify, token)
    try:
        yield opened
    finally:
        opened.connection.close()
