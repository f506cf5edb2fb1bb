"""A Thing of a server as a Python object that blocks."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from labthings_fastapi.exceptions import ClientError

from .bars import Bars
from .connection import Connection, ServerAddress
from .description import Description, Kind
from .feeds import event_feed, property_feed
from .live_frames import LiveFrames
from .problems import run_error
from .protocol import FIRST_WAIT, PendingStart, RunState, ThingProtocol, describe
from .rich import to_rich, with_blobs
from .runs import Run
from .signatures import action_text, property_text, signature_of, type_of
from .steps import Steps
from .transfers import Transfers
from .uploads import with_uploads
from .watching import Subscription

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
Arrays = Literal["lists", "numpy", "described"]
_KINDS: tuple[Kind, ...] = ("properties", "actions")


class ThingClient(Transfers, LiveFrames):
    """A Thing of a server: its properties are attributes, and its actions are methods.

    Make one with `from_url`. A method blocks until the run has ended; `client.start.<action>(...)`
    returns at once. Any thread may use a client. A `with` block closes it.
    """

    _connection: Connection
    _protocol: ThingProtocol
    _arrays: bool  # whether lists of numbers become numpy arrays
    _rich: bool  # whether texts and objects become what their schemas say
    _bars: Bars
    _owner: bool  # whether closing this client closes the connection

    def __init__(
        self,
        base_url: str,
        client: httpx2.Client | None = None,
        *,
        arrays: Arrays = "lists",
        token: str | None = None,
        verify: bool | str = True,
        progress: bool | None = None,
    ) -> None:
        """Connect and get the description; `from_url` makes methods and properties from it too."""
        connection, url = open_connection(base_url, client, token, verify)
        with closed_if_it_fails(connection):
            description = connection.run(describe(url))
        self._set_up(connection, description, arrays=arrays, progress=progress)

    def _set_up(
        self,
        connection: Connection,
        description: Description,
        *,
        arrays: Arrays = "lists",
        rich: bool = False,
        progress: bool | None = None,
        owner: bool = True,
    ) -> None:
        values = {
            "_connection": connection,
            "_protocol": ThingProtocol(description, arrays=arrays != "lists" or rich),
            "_arrays": arrays == "numpy" or rich,
            "_rich": rich,
            "_bars": Bars(progress),
            "_owner": owner,
        }
        self.__dict__.update(values)

    @classmethod
    def from_url(
        cls,
        url: str,
        client: httpx2.Client | None = None,
        *,
        arrays: Arrays = "lists",
        token: str | None = None,
        verify: bool | str = True,
        progress: bool | None = None,
    ) -> Any:
        """Return a client of the Thing whose description is at `url`.

        Args:
            url: the address of the Thing, as in "http://lab-pc:5000/stage/".
            client: an `httpx2.Client` to use, such as a test client; then `url` may be a path.
            arrays: "lists" gives plain JSON values, "numpy" numpy arrays in the place of lists,
                and "described" only where the Thing Description says so.
            token: who asks; by default LABTHINGS_TOKEN, or what `labthings login` has stored.
            verify: True, the file of a certificate (PEM), or "sha256:<fingerprint>" of one.
            progress: show a bar for runs longer than a second; None: on terminals and in notebooks.

        Raises:
            ServerUnreachableError: nobody answers there.
            RefusedError: the server wants to know who asks, or the certificate is another one.
            ClientError: there is no Thing Description.
        """
        connection, address = open_connection(url, client, token, verify)
        with closed_if_it_fails(connection):
            description = connection.run(describe(address))
        return cls._made(connection, description, arrays=arrays, progress=progress)

    @classmethod
    def _made(cls, connection: Connection, description: Description, **options: Any) -> Self:
        made_class = cls.subclass_from_td(dict(description.members))
        made = made_class.__new__(made_class)
        made._set_up(connection, description, **options)
        return made

    @classmethod
    def subclass_from_td(cls, thing_description: Mapping[str, Any]) -> type[Self]:
        """Return a subclass with the properties and actions of a Thing Description."""
        description = Description("http://localhost/", thing_description)
        members: dict[str, Any] = {"__doc__": _class_text(description)}
        for name, schema in description.affordances("properties").items():
            members[name] = ClientProperty(name, schema)
        for name, action in description.affordances("actions").items():
            members[name] = _method(name, action)
        for name in list(members):
            if name in _OWN_NAMES:
                members[f"{name}_"] = inspect.getattr_static(ThingClient, name)
            elif name.startswith("_") and name != "__doc__":
                del members[name]  # `get_property` and `invoke_action` reach it all the same
        title = "".join(part for part in description.title.title() if part.isalnum())
        return type(f"{title or 'Thing'}Client", (cls,), members)

    # --- for people -----------------------------------------------------------------------

    def __repr__(self) -> str:
        forms = self._protocol.description
        actions = ", ".join(forms.affordances("actions")) or "none"
        properties = ", ".join(forms.affordances("properties")) or "none"
        return f"<{forms.title} at {forms.url}: properties {properties}; actions {actions}>"

    def _repr_html_(self) -> str:
        from html import escape

        forms = self._protocol.description
        rows = [
            f"<tr><td>{kind}</td><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>"
            for kind, texts in (
                (
                    "property",
                    {n: property_text(n, s) for n, s in forms.affordances("properties").items()},
                ),
                (
                    "action",
                    {
                        n: action_text(n, s).partition("\n")[0]
                        for n, s in forms.affordances("actions").items()
                    },
                ),
            )
            for name, text in texts.items()
        ]
        return f"<b>{escape(forms.title)}</b> {escape(forms.url)}<table>{''.join(rows)}</table>"

    def __setattr__(self, name: str, value: Any) -> None:
        if not isinstance(getattr(type(self), name, None), ClientProperty):
            known = list(self._protocol.description.affordances("properties"))
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It has: {', '.join(known)}."
            title = self._protocol.description.title
            raise AttributeError(f"{title!r} has no property called {name!r}.{hint}")
        super().__setattr__(name, value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._bars.close()
        if self._owner:
            self._connection.close()

    def close(self) -> None:
        """Close the connection. A `with` block does it too."""
        self._close()

    @property
    def client(self) -> Any:
        """The HTTP client underneath (`httpx2.Client`)."""
        return self._connection.client

    @property
    def server(self) -> str:
        """The address of the server."""
        from urllib.parse import urlsplit

        parts = urlsplit(self._protocol.description.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def path(self) -> str:
        """The path of the Thing on the server."""
        from urllib.parse import urlsplit

        return urlsplit(self._protocol.description.url).path

    # --- properties -----------------------------------------------------------------------

    def _run(self, steps: Steps[T]) -> T:
        return self._connection.run(steps)

    def _read(self, name: str) -> Any:
        schema = self._protocol.description.affordances("properties").get(name)
        return self._value(self._run(self._protocol.read(name)), schema)

    def _value(self, value: Any, schema: Any) -> Any:
        if isinstance(value, dict | list):
            value = with_blobs(value, self)
        if self._rich or self._arrays or self._protocol.arrays:
            value = to_rich(value, schema, arrays=self._arrays, objects=self._rich)
        return value

    def get_property(self, name: str) -> Any:
        """Return the value of a property.

        Raises:
            ClientPropertyError: it cannot be read; the message says why.
        """
        return self._read(name)

    def set_property(self, name: str, value: Any) -> None:
        """Set a property.

        Raises:
            ClientPropertyError: the server refuses it, and says why.
        """
        self._run(self._protocol.write(name, value))

    # --- actions --------------------------------------------------------------------------

    def invoke_action(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Run an action, wait for its end and return its output.

        Raises:
            FailedToInvokeActionError: the server did not start it.
            ServerActionError: it failed.
            InvocationCancelledError: it was cancelled.
        """
        return self._call(name, args, kwargs)

    def _call(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        args, kwargs = self._run(with_uploads(self._protocol.description, args, kwargs))
        pending = self._protocol.prepare(name, args, kwargs)
        state: RunState | None = None
        try:
            state = self._run(self._protocol.start(pending, FIRST_WAIT))
            if state.is_open:
                self._wait(Run(self, state))
        except KeyboardInterrupt as interrupt:
            text = self._stop(pending, state)
            if text:
                interrupt.add_note(text)
                sys.stderr.write(f"{text}\n")
            raise
        return self._output(state)

    def _wait(self, run: Run) -> None:
        if not self._bars.shown:
            run.wait()
            return
        with self._bars.bar(run.action) as bar:
            for kind, data in run.events():
                if kind == "progress":
                    bar.update(data)

    def _stop(self, pending: PendingStart, state: RunState | None) -> str:
        """Cancel a run after Ctrl-C, before the interrupt is raised; say what became of it."""
        if state is None:
            if not self._protocol.is_ours:
                return ""
            try:  # the same key: the server answers with the run that it has started, if it has
                state = self._run(self._protocol.start(pending))
            except Exception as error:  # noqa: BLE001 - said, and then the interrupt is raised
                return f"Whether action {pending.action} was started is not known: {error}"
        return Run(self, state)._after_interrupt() if state.url is not None else ""

    def _output(self, state: RunState) -> Any:
        error = run_error(state.action, state.id, state.members)
        if error is not None:
            raise error
        self._run(self._protocol.fill(state))
        action = self._protocol.description.affordances("actions").get(state.action, {})
        return self._value(state.members.get("output"), action.get("output"))

    @property
    def start(self) -> Starter:
        """Start actions without waiting: `run = client.start.scan(rows=3)`; see `Run`."""
        return Starter(self)

    def _start(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Run:
        args, kwargs = self._run(with_uploads(self._protocol.description, args, kwargs))
        pending = self._protocol.prepare(name, args, kwargs)
        return Run(self, self._run(self._protocol.start(pending)))

    def attach(self, id: str, action: str | None = None) -> Run:
        """Return a run of this Thing by its id, whoever started it.

        Raises:
            ClientError: the server knows no such run of this Thing.
        """
        return Run(self, self._run(self._protocol.attach(action, str(id))))

    # --- observing ------------------------------------------------------------------------

    def observe(
        self,
        property: str,
        callback: Callable[[Any], Any],
        *,
        interval: float | None = None,
        on_error: Callable[[Exception], Any] | None = None,
    ) -> Subscription:
        """Call `callback(value)` with each new value of a property, until `close()`.

        It has begun when this returns: no later change is missed, if the server can tell all.

        Callbacks run in one thread of the client, in order. A failed reading goes to `on_error`,
        else to the log. `interval` (s) is for servers that do not tell changes.
        """
        schema = self._protocol.description.affordances("properties").get(property)
        feed = property_feed(self._protocol, property, interval)
        self._run(feed.open())
        return Subscription(
            self._connection,
            feed,
            lambda value: callback(self._value(value, schema)),
            f"property {property!r}",
            on_error,
        )

    def subscribe(
        self,
        event: str,
        callback: Callable[[Any], Any],
        *,
        interval: float | None = None,
        on_error: Callable[[Exception], Any] | None = None,
    ) -> Subscription:
        """Call `callback(data)` with the data of each event, until `close()`; see `observe`.

        `interval` (s) is for servers that only list past events.
        """
        found = self._protocol.description.affordances("events").get(event) or {}
        feed = event_feed(self._protocol, event, interval)
        self._run(feed.open())
        return Subscription(
            self._connection,
            feed,
            lambda value: callback(self._value(value, found.get("data"))),
            f"event {event!r}",
            on_error,
        )

    def follow_link(self, obj: Mapping[str, Any], rel: str) -> Any:
        """Return the HTTP response of a link of a run, such as "self" or "output"."""
        for link in obj.get("links", ()):
            if link.get("rel") == rel:
                return self.client.get(self._protocol.description.resolve(str(link["href"])))
        raise ClientError(f"There is no link with the relation {rel!r}.")


class ClientProperty:
    """A property of a Thing on the server, as an attribute."""

    def __init__(self, name: str, schema: Mapping[str, Any]) -> None:
        """Describe it by its schema."""
        self.name = name
        self.__doc__ = property_text(name, schema)
        self.value_type = type_of(schema)

    def __get__(self, client: ThingClient | None, owner: type | None = None) -> Any:
        return self if client is None else client._read(self.name)

    def __set__(self, client: ThingClient, value: Any) -> None:
        client._run(client._protocol.write(self.name, value))


class Starter:
    """The actions of a Thing, as methods that return a `Run` at once."""

    def __init__(self, client: ThingClient) -> None:
        """Start with the client's connection."""
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Run]:
        actions = self._client._protocol.description.affordances("actions")
        if name not in actions:
            raise AttributeError(self._client._protocol._unknown("action", "actions", name))

        def start(*args: Any, **kwargs: Any) -> Run:
            return self._client._start(name, args, kwargs)

        _dress(start, name, actions[name], Run)
        return start

    def __dir__(self) -> Iterable[str]:
        return list(self._client._protocol.description.affordances("actions"))


def _method(name: str, action: Mapping[str, Any]) -> Callable[..., Any]:
    def call(self: ThingClient, *args: Any, **kwargs: Any) -> Any:
        return self._call(name, args, kwargs)

    _dress(call, name, action, None, method=True)
    return call


def _dress(
    function: Any, name: str, action: Mapping[str, Any], returns: Any, *, method: bool = False
) -> None:
    """Give a function the name, signature and docstring of an action."""
    import inspect

    signature = signature_of(action)
    if returns is not None:
        signature = signature.replace(return_annotation=returns)
    function.__doc__ = action_text(name, action)
    function.__name__, function.__qualname__ = name, name
    if method:
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        try:
            signature = signature.replace(parameters=[own, *signature.parameters.values()])
        except ValueError:  # an action with a parameter called `self`
            return
    function.__signature__ = signature


def _class_text(description: Description) -> str:
    text = str(description.members.get("description") or description.title)
    shadowed = [
        name for kind in _KINDS for name in description.affordances(kind) if name in _OWN_NAMES
    ]
    if shadowed:
        names = ", ".join(f"`{name}` is `{name}_`" for name in shadowed)
        text += f"\n\nOf the client's own names, {names}: the Thing has one of that name."
    return text


_OWN_NAMES = frozenset(
    name for name in (*vars(ThingClient), *vars(Transfers)) if not name.startswith("_")
)


@contextmanager
def closed_if_it_fails(connection: Connection) -> Iterator[None]:
    """Close a new connection if there is nothing to be done with it."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def open_connection(
    url: str, client: httpx2.Client | None, token: str | None, verify: bool | str
) -> tuple[Connection, str]:
    """Return a connection, and the whole URL."""
    if client is None:
        return Connection(ServerAddress(url, token, verify)), url
    base = str(client.base_url)
    address = url if "://" in url else f"{base.rstrip('/')}/{url.lstrip('/')}"
    return Connection(None, client), address
