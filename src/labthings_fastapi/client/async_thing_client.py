"""A Thing of a server as a Python object for code with `await`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from labthings_fastapi.exceptions import ClientError, WaitTimeoutError
from labthings_fastapi.own_log import own_logger

from .connection import AsyncConnection, ServerAddress
from .description import Description
from .feeds import FailedReadingError, Feed, RunFeed, event_feed, property_feed
from .frames import frame_of, kept_results, require_pandas
from .live_frames import AsyncLiveFrames
from .problems import log_lines, request_error, run_error
from .protocol import FIRST_WAIT, RunState, ThingProtocol, describe, fetch
from .rich import to_rich
from .run_files import listed_files
from .signatures import action_text, property_text, signature_of
from .steps import Answer, Request, Steps
from .uploads import Progress, Source, upload, with_uploads

if TYPE_CHECKING:
    import httpx2
    import pandas as pd

T = TypeVar("T")
LOGGER = own_logger("client")
FOREVER = float("inf")


class AsyncThingClient(AsyncLiveFrames):
    """A Thing of a server: `await stage.position`, `await stage.move(3)`.

    For one event loop. `async with` closes it. A property is set by `set_property`: an assignment
    cannot be awaited, and raises AttributeError.
    """

    _connection: AsyncConnection
    _protocol: ThingProtocol
    _arrays: bool

    def _set_up(
        self, connection: AsyncConnection, description: Description, *, arrays: str
    ) -> None:
        values = {
            "_connection": connection,
            "_protocol": ThingProtocol(description, arrays=arrays != "lists"),
            "_arrays": arrays == "numpy",
        }
        self.__dict__.update(values)

    @classmethod
    async def from_url(
        cls,
        url: str,
        client: httpx2.AsyncClient | None = None,
        *,
        arrays: str = "lists",
        token: str | None = None,
        verify: bool | str = True,
    ) -> Any:
        """Return a client of the Thing at `url`; see `ThingClient.from_url`."""
        address = None if client is not None else ServerAddress(url, token, verify)
        connection = AsyncConnection(address, client)
        if client is not None and "://" not in url:
            url = f"{str(client.base_url).rstrip('/')}/{url.lstrip('/')}"
        try:
            description = await connection.run(describe(url))
        except BaseException:
            await connection.close()
            raise
        made_class = cls.subclass_from_td(dict(description.members))
        made = made_class.__new__(made_class)
        made._set_up(connection, description, arrays=arrays)
        return made

    @classmethod
    def subclass_from_td(cls, thing_description: Mapping[str, Any]) -> type[Self]:
        """Return a subclass with the properties and actions of a Thing Description."""
        description = Description("http://localhost/", thing_description)
        members: dict[str, Any] = {
            "__doc__": str(description.members.get("description") or description.title)
        }
        for name, schema in description.affordances("properties").items():
            members[name] = _async_property(name, schema)
        for name, action in description.affordances("actions").items():
            members[name] = _async_method(name, action)
        for name in list(members):
            if name in _OWN_NAMES:
                members[f"{name}_"] = vars(AsyncThingClient)[name]
            elif name.startswith("_") and name != "__doc__":
                del members[name]
        title = "".join(part for part in description.title.title() if part.isalnum())
        return type(f"Async{title or 'Thing'}Client", (cls,), members)

    def __repr__(self) -> str:
        forms = self._protocol.description
        return f"<{forms.title} at {forms.url}, for code with await>"

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"An assignment cannot be awaited: write `await client.set_property({name!r}, ...)`."
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def close(self) -> None:
        """Close the connection. `async with` does it too."""
        await self._connection.close()

    async def _run(self, steps: Steps[T]) -> T:
        return await self._connection.run(steps)

    def _value(self, value: Any, schema: Any) -> Any:
        if not (self._arrays or self._protocol.arrays):
            return value
        return to_rich(value, schema, arrays=self._arrays, objects=False)

    async def upload(
        self, source: Source, media_type: str | None = None, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Send a file or bytes to the server; return the link that actions take as input.

        See `ThingClient.upload`.
        """
        return await self._run(upload(self._protocol.description, source, media_type, progress))

    async def get_property(self, name: str) -> Any:
        """Return the value of a property; `ClientPropertyError` if it cannot be read."""
        schema = self._protocol.description.affordances("properties").get(name)
        return self._value(await self._run(self._protocol.read(name)), schema)

    async def set_property(self, name: str, value: Any) -> None:
        """Set a property; `ClientPropertyError` if the server refuses it."""
        await self._run(self._protocol.write(name, value))

    async def invoke_action(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Run an action, wait for its end and return its output; see `ThingClient`.

        A task that is cancelled while it waits cancels the run on the server first.
        """
        return await self._call(name, args, kwargs)

    async def _call(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        steps = with_uploads(self._protocol.description, args, kwargs)
        args, kwargs = await self._run(steps)
        pending = self._protocol.prepare(name, args, kwargs)
        state: RunState | None = None
        try:
            state = await self._run(self._protocol.start(pending, FIRST_WAIT))
            await self._run(self._protocol.follow(state, FOREVER))
        except asyncio.CancelledError:
            if state is None and self._protocol.is_ours:
                state = await self._run(self._protocol.start(pending))
            if state is not None:
                await self._run(self._protocol.cancel(state))
                await self._run(self._protocol.follow(state, 5.0))
            raise
        return self._output(state)

    def _output(self, state: RunState) -> Any:
        error = run_error(state.action, state.id, state.members)
        if error is not None:
            raise error
        action = self._protocol.description.affordances("actions").get(state.action, {})
        return self._value(state.members.get("output"), action.get("output"))

    @property
    def start(self) -> AsyncStarter:
        """Start actions without waiting: `run = await client.start.scan(rows=3)`."""
        return AsyncStarter(self)

    async def attach(self, id: str, action: str | None = None) -> AsyncRun:
        """Return a run of this Thing by its id, whoever started it."""
        return AsyncRun(self, await self._run(self._protocol.attach(action, str(id))))

    async def observe(
        self,
        property: str,
        callback: Callable[[Any], Any],
        *,
        interval: float | None = None,
        on_error: Callable[[Exception], Any] | None = None,
    ) -> AsyncSubscription:
        """Call `callback(value)` with each new value of a property, on this event loop."""
        feed = property_feed(self._protocol, property, interval)
        await self._run(feed.open())
        return AsyncSubscription(self, feed, callback, f"property {property!r}", on_error)

    async def subscribe(
        self,
        event: str,
        callback: Callable[[Any], Any],
        *,
        interval: float | None = None,
        on_error: Callable[[Exception], Any] | None = None,
    ) -> AsyncSubscription:
        """Call `callback(data)` with the data of each event, on this event loop.

        `interval` (s) is for servers that only list past events.
        """
        feed = event_feed(self._protocol, event, interval)
        await self._run(feed.open())
        return AsyncSubscription(self, feed, callback, f"event {event!r}", on_error)


class AsyncRun:
    """One run of an action on a server; `status` and `progress` are the last known."""

    def __init__(self, client: AsyncThingClient, state: RunState) -> None:
        """Use the client's connection."""
        self._client = client
        self._state = state

    def __repr__(self) -> str:
        return f"<AsyncRun {self.id} of {self.action}: {self.status}>"

    @property
    def action(self) -> str:
        """The name of the action."""
        return self._state.action

    @property
    def id(self) -> str | None:
        """The id under which the server knows it."""
        return self._state.id

    @property
    def href(self) -> str | None:
        """The address of its status."""
        return self._state.url

    @property
    def status(self) -> str:
        """The status that the server told last."""
        return self._state.status

    @property
    def phase(self) -> str:
        """More than the status says, as the server told last."""
        return str(self._state.members.get("phase") or self.status)

    @property
    def progress(self) -> float | None:
        """Percent done, as the server told last; None when unknown."""
        return self._state.members.get("progress")

    @property
    def results_missed(self) -> int:
        """How many results were dropped before `results()` came to them."""
        return self._state.results_missed

    async def refresh(self) -> AsyncRun:
        """Ask the server for the state."""
        if self._state.is_open:
            await self._client._run(self._client._protocol.refresh(self._state))
        return self

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; return whether it has ended."""
        seconds = FOREVER if timeout is None else timeout
        return await self._client._run(self._client._protocol.follow(self._state, seconds))

    async def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the output; see `Run.result`."""
        if not await self.wait(timeout):
            raise WaitTimeoutError(
                f"Action {self.action} (ID: {self.id}) has not ended after {timeout:g} s, and goes "
                "on. Wait again, or cancel it.",
                invocation_id=self.id,
            )
        return self._client._output(self._state)

    async def cancel(self) -> bool:
        """Ask it to stop; return False if it had ended."""
        return await self._client._run(self._client._protocol.cancel(self._state))

    async def logs(self) -> list[str]:
        """Return the lines of its log so far."""
        await self._client._run(self._client._protocol.refresh(self._state))
        return log_lines(self._state.members.get("log"))

    async def results(self) -> AsyncIterator[Any]:
        """Yield the values that the action yields, as they come; see `Run.results`."""
        feed = RunFeed(self._client._protocol, self._state)
        if not feed.follows:
            await self.refresh()
        try:
            while True:
                for kind, value in await self._client._run(feed.next()):
                    if kind == "result":
                        yield value
                if feed.over:
                    break
        finally:
            await self._client._run(feed.close())
        error = run_error(self.action, self.id, self._state.members)
        if error is not None:
            raise error

    async def to_pandas(self) -> pd.DataFrame:
        """Return the values yielded so far as a table; see `Run.to_pandas`."""
        require_pandas()
        protocol = self._client._protocol
        values, dropped = await self._client._run(kept_results(protocol, self._state))
        return frame_of(values, dropped, protocol.output_schema(self.action))

    async def files(self) -> dict[str, str]:
        """Return the files that it left: the address of each, by name."""
        link = self._state.link("files")
        if link is None:
            return {}
        address = self._client._protocol.description.resolve(link)
        answer: Answer = await self._client._run(fetch(Request("GET", address), repeat=True))
        if not answer.ok:
            raise request_error(answer, f"The files of run {self.id}")
        found = listed_files(address, answer.json(), self._client._protocol.description.resolve)
        return {name: each["href"] for name, each in found.items()}


class AsyncSubscription:
    """Calls a callback with each value until `close()`; an async context manager."""

    def __init__(
        self,
        client: AsyncThingClient,
        feed: Feed,
        callback: Callable[[Any], Any],
        what: str,
        on_error: Callable[[Exception], Any] | None,
    ) -> None:
        """Begin at once, in a task of its own."""
        self._client = client
        self._feed = feed
        self._callback = callback
        self._what = what
        self._on_error = on_error
        self._task = asyncio.ensure_future(self._follow())

    async def _follow(self) -> None:
        try:
            while True:
                for value in await self._client._run(self._feed.next()):
                    self._tell(value)
        except ClientError as error:
            self._fail(error)
        finally:
            await self._client._run(self._feed.close())

    def _tell(self, value: Any) -> None:
        if isinstance(value, FailedReadingError):
            self._fail(value)
            return
        try:
            self._callback(value)
        except Exception:
            LOGGER.exception("The callback for %s failed.", self._what)

    def _fail(self, error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(error)
        else:
            LOGGER.error("Following %s: %s", self._what, error)

    async def close(self) -> None:
        """Call nothing more; idempotent."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncStarter:
    """The actions of a Thing, as coroutine functions that return an `AsyncRun` at once."""

    def __init__(self, client: AsyncThingClient) -> None:
        """Start with the client's connection."""
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        protocol = self._client._protocol
        actions = protocol.description.affordances("actions")
        if name not in actions:
            raise AttributeError(protocol._unknown("action", "actions", name))

        async def start(*args: Any, **kwargs: Any) -> AsyncRun:
            steps = with_uploads(protocol.description, args, kwargs)
            pending = protocol.prepare(name, *await self._client._run(steps))
            return AsyncRun(self._client, await self._client._run(protocol.start(pending)))

        start.__name__, start.__doc__ = name, action_text(name, actions[name])
        return start

    def __dir__(self) -> list[str]:
        return list(self._client._protocol.description.affordances("actions"))


def _async_property(name: str, schema: Mapping[str, Any]) -> property:
    async def read(self: AsyncThingClient) -> Any:
        # By the class: the Thing may have an affordance called `get_property`.
        return await AsyncThingClient.get_property(self, name)

    return property(read, doc=property_text(name, schema))


def _async_method(name: str, action: Mapping[str, Any]) -> Callable[..., Any]:
    async def call(self: AsyncThingClient, *args: Any, **kwargs: Any) -> Any:
        return await self._call(name, args, kwargs)

    call.__name__, call.__doc__ = name, action_text(name, action)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    signature = signature_of(action)
    if "self" not in signature.parameters:
        call.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[own, *signature.parameters.values()]
        )
    return call


_OWN_NAMES = frozenset(name for name in vars(AsyncThingClient) if not name.startswith("_"))
