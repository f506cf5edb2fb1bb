"""What goes on arriving: events of a run, values of a property, and data of an event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from labthings_fastapi.exceptions import ClientError, ServerUnreachableError

from .description import Form
from .dialects import webthing_events
from .problems import request_error
from .protocol import FINAL, RunState, ThingProtocol, fetch
from .sse import EventParser, ServerSentEvent
from .steps import (
    QUIET_SECONDS,
    STREAM_SECONDS,
    Answer,
    CloseStream,
    NextChunk,
    OpenStream,
    Pause,
    Request,
    SilenceError,
    Steps,
)

FROM_THE_START = "start-0"  # an id that no server has given: all that it remembers is sent
_PAUSES = (0.1, 0.3, 1.0, 2.0, 5.0)


class EventFeed:
    """An event stream (HTML, 9.2) that connects again when it breaks. For one user at a time.

    A stream that is silent for `silence` seconds may be dead, which nobody would tell: it is
    opened again, and that is no failure.
    """

    def __init__(self, url: str, after: str = "", silence: float = STREAM_SECONDS) -> None:
        self._url = url
        self._silence = silence
        self._parser = EventParser()
        self._after = after
        self._stream: OpenStream | None = None
        self._failures = 0

    def next(self) -> Steps[list[ServerSentEvent]]:
        """Give the next events; an empty list now and then, in which nothing has come.

        Raises:
            ServerUnreachableError: the server has been away for long.
            ClientError: it refuses.
        """
        try:
            if self._stream is None:
                yield from self._open()
            assert self._stream is not None  # noqa: S101 - for type checkers
            chunk: bytes = yield NextChunk(self._stream)
        except SilenceError:
            if self._stream is None:  # it did not even open
                yield from self._broken()
            yield from self.close()
            return []
        except ServerUnreachableError:
            yield from self._broken()
            return []
        if not chunk:
            yield from self._broken()
            return []
        self._failures = 0
        events = self._parser.feed(chunk)
        self._after = self._parser.last_event_id or self._after
        return events

    def open(self) -> Steps[None]:
        """Connect now: what happens from here on is not missed."""
        if self._stream is None:
            yield from self._open()

    def _open(self) -> Steps[None]:
        headers = {"Accept": "text/event-stream"}
        if self._after:
            headers["Last-Event-ID"] = self._after
        opened: Answer | OpenStream = yield Request(
            "GET", self._url, headers=headers, seconds=self._silence, stream=True
        )
        if isinstance(opened, Answer):
            if opened.ok:
                raise ClientError(f"{self._url} is no event stream ({opened.media_type}).")
            raise request_error(opened, f"{self._url} cannot be followed")
        self._stream = opened
        self._parser = EventParser()

    def _broken(self) -> Steps[None]:
        yield from self.close()
        if self._failures == len(_PAUSES):
            raise ServerUnreachableError(
                f"{self._url} cannot be followed: the connection broke {self._failures} times "
                "in a row."
            )
        yield Pause(_PAUSES[self._failures])
        self._failures += 1

    def close(self) -> Steps[None]:
        """Close the connection; `next` opens it again."""
        stream, self._stream = self._stream, None
        if stream is not None:
            yield CloseStream(stream)


class RunFeed:
    """What happens in a run, from its start: the state is kept up to date. For one user."""

    def __init__(self, protocol: ThingProtocol, run: RunState) -> None:
        self._protocol = protocol
        self.run = run
        link = run.link("events")
        self._feed = (
            EventFeed(protocol.description.resolve(link), FROM_THE_START)
            if link is not None and protocol.is_ours
            else None
        )
        self._seen = 0  # the number of the newest result
        self.over = False
        """Whether all that happened has been given: the run may have ended long before."""

    @property
    def follows(self) -> bool:
        """Whether the server tells what happens; else the state is asked for at intervals."""
        return self._feed is not None

    def next(self) -> Steps[list[tuple[str, Any]]]:
        """Give what has happened: pairs of kind (`log`, `progress`, `result`) and data."""
        run = self.run
        if self._feed is None:
            yield from self._protocol.follow(run, 1.0)
            self.over = not run.is_open
            return self._kept_results() if self.over else []
        try:
            events = yield from self._feed.next()
        except ServerUnreachableError:
            raise
        except ClientError:  # the server has forgotten the run's events, but perhaps not the run
            self._feed = None
            return []
        happened: list[tuple[str, Any]] = []
        for event in events:
            happened += self._understand(event)
        if not events and not run.is_open:
            self.over = True  # the stream has ended, or broke after the end
        if self.over:
            yield from self._feed.close()
            yield from self._protocol.refresh(run)  # with its output, log and error
        for index, (kind, data) in enumerate(happened):
            if kind == "result":
                happened[index] = kind, (yield from self._protocol.filled(data))
        return happened

    def _understand(self, event: ServerSentEvent) -> list[tuple[str, Any]]:
        try:
            data = json.loads(event.data)
        except ValueError:
            return []
        if not isinstance(data, dict):
            return []
        if event.event == "status":
            self._take_status(data)
            self.over = data.get("status") in FINAL
        elif event.event == "progress":
            self.run.members.update(data)
            return [("progress", data)]
        elif event.event == "log":
            return [("log", data)]
        elif event.event == "result":
            number = int(data.get("number", self._seen + 1))
            if number <= self._seen:
                return []
            self.run.results_missed += number - self._seen - 1
            self._seen = number
            return [("result", data.get("value"))]
        return []

    def _take_status(self, data: Mapping[str, Any]) -> None:
        kept = ("status", "phase", "timeStarted", "timeCompleted", "error", "queuePosition")
        self.run.members.update({name: data[name] for name in kept if data.get(name) is not None})

    def _kept_results(self) -> list[tuple[str, Any]]:
        output = self.run.members.get("output")
        if self._seen or not isinstance(output, list):
            return []
        self._seen = len(output)
        return [("result", value) for value in output]

    def close(self) -> Steps[None]:
        """Close the connection."""
        if self._feed is not None:
            yield from self._feed.close()


class Feed(Protocol):
    """Values of one property, or the data of one event, as they come."""

    def open(self) -> Steps[None]:
        """Connect now: what happens from here on is not missed, if the server can tell it."""

    def next(self) -> Steps[list[Any]]:
        """Give what has come: values, and `FailedReadingError`s in their place."""

    def close(self) -> Steps[None]:
        """Close the connection."""


class FailedReadingError(ClientError):
    """The server could not read the property; the next value says that it can again."""


class StreamFeed:
    """Values over an event stream."""

    def __init__(self, form: Form, name: str, silence: float) -> None:
        self._feed = EventFeed(form.url(), silence=silence)
        self._name = name

    def open(self) -> Steps[None]:
        """Connect now; `next` connects too."""
        yield from self._feed.open()

    def next(self) -> Steps[list[Any]]:
        """Give what has come."""
        events = yield from self._feed.next()
        return [value for event in events for value in self._value(event)]

    def _value(self, event: ServerSentEvent) -> list[Any]:
        if event.event not in ("message", self._name, "reading-failed"):
            return []  # `gap` and what later servers may send
        try:
            data = json.loads(event.data) if event.data else None
        except ValueError:
            data = event.data
        if event.event != "reading-failed":
            return [data]
        problem = data.get("error") if isinstance(data, dict) else None
        detail = problem.get("detail") if isinstance(problem, dict) else "no reason given"
        return [
            FailedReadingError(f"Failed to get property {self._name}: {detail}", problem=problem)
        ]

    def close(self) -> Steps[None]:
        """Close the connection."""
        yield from self._feed.close()


class LongPollFeed:
    """Values by requests that the server answers when there is one."""

    def __init__(self, form: Form, name: str, silence: float) -> None:
        self._form = form
        self._name = name
        self._silence = silence

    def open(self) -> Steps[None]:
        """Do nothing: the server tells only what happens while it is asked."""
        yield from ()

    def next(self) -> Steps[list[Any]]:
        """Give what has come."""
        request = Request("GET", self._form.url(), seconds=self._silence)
        try:
            answer = yield from fetch(request)
        except SilenceError:
            return []  # ask again at once: what happens in between is lost
        except ServerUnreachableError:
            yield Pause(1.0)
            return []
        if answer.status == 204 or not answer.body:
            return []
        if not answer.ok:
            raise request_error(answer, f"{self._name!r} cannot be observed")
        try:
            return [answer.json()]
        except (ValueError, RecursionError):  # node-wot joins values that come at one moment
            text = answer.body[:200].decode("utf-8", "replace")
            return [
                FailedReadingError(
                    f"{self._name!r}: the server sent what is no JSON, perhaps several values in "
                    f"one: {text!r}. Read the property, or wait for what comes next."
                )
            ]

    def close(self) -> Steps[None]:
        """Do nothing: there is no connection between two requests."""
        yield from ()


class PollingFeed:
    """Values of a property by reading it every `interval` seconds; a change is told."""

    _nothing = object()

    def __init__(self, protocol: ThingProtocol, name: str, interval: float) -> None:
        self._protocol = protocol
        self._name = name
        self._interval = interval
        self._last: Any = self._nothing

    def open(self) -> Steps[None]:
        """Do nothing: the first value is told whatever it is."""
        yield from ()

    def next(self) -> Steps[list[Any]]:
        """Give the value if it has changed since the last one."""
        if self._last is not self._nothing:
            yield Pause(self._interval)
        try:
            value = yield from self._protocol.read(self._name)
        except ServerUnreachableError:
            return []
        except ClientError as error:
            self._last = error
            return [FailedReadingError(str(error), problem=error.problem)]
        changed = self._last is self._nothing or value != self._last
        self._last = value
        return [value] if changed else []

    def close(self) -> Steps[None]:
        """Do nothing: there is no connection between two requests."""
        yield from ()


class WebthingEventFeed:
    """The data of an event of `webthing`, which lists past events and tells none over HTTP."""

    def __init__(self, form: Form, name: str, interval: float) -> None:
        self._form = form
        self._name = name
        self._interval = interval
        self._seen: int | None = None

    def open(self) -> Steps[None]:
        """Look at what there is: what happens from here on is not missed."""
        if self._seen is None:
            self._seen = len((yield from self._listed()))

    def next(self) -> Steps[list[Any]]:
        """Give the data of what has happened since the last time."""
        if self._seen is None:
            yield from self.open()
            return []
        yield Pause(self._interval)
        try:
            listed = yield from self._listed()
        except ServerUnreachableError:
            return []
        new = listed[self._seen :] if len(listed) >= self._seen else listed  # it was restarted
        self._seen = len(listed)
        return new

    def _listed(self) -> Steps[list[Any]]:
        answer = yield from fetch(Request("GET", self._form.url()), repeat=True)
        if not answer.ok:
            raise request_error(answer, f"The event {self._name!r} cannot be followed")
        return webthing_events(self._name, answer.json())

    def close(self) -> Steps[None]:
        """Do nothing: there is no connection between two requests."""
        yield from ()


def _silence(protocol: ThingProtocol) -> float:
    return STREAM_SECONDS if protocol.is_ours else QUIET_SECONDS


def property_feed(protocol: ThingProtocol, name: str, interval: float | None) -> Feed:
    """Return the feed of a property; `interval` (s) is for servers that tell no changes.

    Raises:
        ClientError: the server tells no changes, and there is no interval.
    """
    forms = protocol.description
    if name not in forms.affordances("properties"):
        raise ClientError(f"{forms.title!r} has no property called {name!r}.")
    for subprotocol, feed in (("sse", StreamFeed), ("longpoll", LongPollFeed)):
        form = forms.form("properties", name, "observeproperty", (subprotocol,))
        if form is not None and interval is None:
            return feed(form, name, _silence(protocol))
    if interval is None:
        raise ClientError(
            f"{forms.title!r} does not tell changes of {name!r}. Say how often to ask for it, as "
            f"in `observe({name!r}, callback, interval=1)`."
        )
    return PollingFeed(protocol, name, interval)


def event_feed(protocol: ThingProtocol, name: str, interval: float | None = None) -> Feed:
    """Return the feed of an event; `interval` (s) is for servers that only list past events.

    Raises:
        ClientError: there is no such event, or no way over HTTP to follow it.
    """
    forms = protocol.description
    if name not in forms.affordances("events"):
        raise ClientError(f"{forms.title!r} has no event called {name!r}.")
    listing = forms.form("events", name, "subscribeevent") if protocol.is_webthing else None
    if listing is not None:
        if interval is None:
            raise ClientError(
                f"{forms.title!r} does not tell events over HTTP, but lists past ones. Say how "
                f"often to look, as in `subscribe({name!r}, callback, interval=1)`."
            )
        return WebthingEventFeed(listing, name, interval)
    for subprotocol, feed in (("sse", StreamFeed), ("longpoll", LongPollFeed), (None, StreamFeed)):
        form = forms.form("events", name, "subscribeevent", (subprotocol,))
        if form is not None:
            return feed(form, name, _silence(protocol))
    raise ClientError(f"{forms.title!r} states no way over HTTP to follow the event {name!r}.")
