"""Commands that go on until Ctrl-C: watch, events."""

from __future__ import annotations

import csv
import json
import queue
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from labthings_fastapi.client.feeds import Feed, StreamFeed, event_feed, property_feed
from labthings_fastapi.client.server_runs import ServerFeed
from labthings_fastapi.client.watching import Subscription

from .bench import DEFAULT_SERVER, Affordance, CommandBench, Json, Server, Verify, bench
from .completion import complete_event
from .printing import print_json, print_line, print_text, remark, shown
from .things import Properties

_QUIET_SECONDS = 1.0  # after which nothing more is remembered
_HEARTBEAT = 0.2
_LISTED_SECONDS = 1.0  # how often a server is asked that only lists past events

Count = Annotated[int, typer.Option("--count", "-n", min=0, help="End after so many; 0: never.")]
Item = tuple[str, Any]


class _Arrivals:
    """What several feeds bring, in one queue; errors of feeds that have ended are raised."""

    def __init__(self, opened: CommandBench) -> None:
        self._opened = opened
        self._queue: queue.Queue[tuple[str, Any, Exception | None]] = queue.Queue()
        self._subscriptions: list[Subscription] = []

    def add(self, name: str, feed: Feed) -> None:
        def arrived(value: Any) -> None:
            self._queue.put((name, value, None))

        def failed(error: Exception) -> None:
            self._queue.put((name, None, error))

        self._subscriptions.append(
            Subscription(self._opened.connection, feed, arrived, name, failed)
        )

    def put(self, name: str, value: Any) -> None:
        self._queue.put((name, value, None))

    def items(self, count: int, quiet: float | None = None) -> Iterator[Item]:
        """Yield what comes, until `count` values or `quiet` seconds without one."""
        number, silent = 0, 0.0
        while not count or number < count:
            try:  # with a limit, so that Ctrl-C is noticed on every system
                name, value, error = self._queue.get(timeout=_HEARTBEAT)
            except queue.Empty:
                silent += _HEARTBEAT
                if quiet is not None and silent >= quiet:
                    return
                continue
            if error is not None:
                if all(each.closed for each in self._subscriptions):
                    raise error
                remark(str(error))
                continue
            silent = 0.0
            number += 1
            yield name, value

    def close(self) -> None:
        for each in self._subscriptions:
            each.close()


def watch(
    properties: Properties,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV: time, property, value.")
    ] = False,
    interval: Annotated[
        float,
        typer.Option(min=0, help="Ask every so many seconds; for servers that tell no changes."),
    ] = 0,
    count: Count = 0,
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Print each new value of properties, until Ctrl-C."""
    with bench(server, verify) as opened, ExitStack() as stack:
        named = [opened.affordance(each, "properties") for each in properties]
        arrivals = _Arrivals(opened)
        stack.callback(arrivals.close)
        for each in named:
            feed = property_feed(each.protocol, each.name, interval or None)
            if isinstance(feed, StreamFeed):  # tells changes only; no change is lost in between
                opened.run(feed.open())
                arrivals.put(str(each), opened.run(each.protocol.read(each.name)))
            arrivals.add(str(each), feed)
        print_one = _csv() if as_csv else _print_json if json else _print_value
        for name, value in arrivals.items(count):
            print_one(name, value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _print_json(name: str, value: Any) -> None:
    print_line({"time": _now(), "property": name, "value": value})


def _print_value(name: str, value: Any) -> None:
    print_text(f"{_now()}\t{name}\t{shown(value)}")


def _csv() -> Callable[[str, Any], None]:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("time", "property", "value"))

    def write(name: str, value: Any) -> None:
        writer.writerow((_now(), name, shown(value)))
        sys.stdout.flush()

    return write


def events(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="THING.EVENT…", autocompletion=complete_event),
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    count: Count = 0,
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Print what has happened on the server, or the events named; with -f, what happens too.

    Without -f it prints what the server still remembers; of events by name that is nothing.
    """
    follow = follow or bool(names)
    with bench(server, verify) as opened, ExitStack() as stack:
        arrivals = _Arrivals(opened)
        stack.callback(arrivals.close)
        for each in [opened.affordance(name, "events") for name in names or ()]:
            arrivals.add(str(each), _named_feed(each))
        if not names:
            _ = opened.descriptions  # says so if there is no such server
            arrivals.add("", ServerFeed(opened.place))
        found = (
            _members(*item) for item in arrivals.items(count, None if follow else _QUIET_SECONDS)
        )
        if json and not follow:
            print_json(list(found))
            return
        for members in found:
            if json:
                print_line(members)
            else:
                print_text("\t".join(shown(part) for part in members.values()))


def _named_feed(named: Affordance) -> Feed:
    return event_feed(named.protocol, named.name, _LISTED_SECONDS)


def _members(name: str, value: Any) -> dict[str, Any]:
    if name:
        return {"time": _now(), "event": name, "data": value}
    try:
        data = json.loads(value["data"])
    except ValueError:
        data = value["data"]
    return {"id": value["id"], "event": value["event"], "data": data}
