"""Commands about runs of the server: runs, show, cancel, logs, download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from labthings_fastapi.client.description import Description
from labthings_fastapi.client.feeds import RunFeed
from labthings_fastapi.client.problems import problem_of, request_error, run_error
from labthings_fastapi.client.protocol import RunState, ThingProtocol
from labthings_fastapi.client.server_runs import cancel_request, find_run, list_runs
from labthings_fastapi.client.steps import Answer

from .bench import DEFAULT_SERVER, CommandBench, Json, Server, Verify, bench
from .printing import print_json, print_line, print_table, print_text

Id = Annotated[
    str, typer.Argument(metavar="RUN", help="The id of a run, or the first characters of it.")
]


def runs(
    thing: Annotated[str, typer.Option(help="Only runs of this Thing.")] = "",
    action: Annotated[str, typer.Option(help="Only runs of this action.")] = "",
    status: Annotated[
        str, typer.Option(help="pending, running, completed, error or cancelled.")
    ] = "",
    since: Annotated[
        str, typer.Option(help="Requested then or later, as in 2026-05-01T12:00:00Z.")
    ] = "",
    until: Annotated[str, typer.Option(help="Requested before that time.")] = "",
    text: Annotated[str, typer.Option(help="In names, input, output, error or log.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Only the newest n.")] = 20,
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """List runs, newest first, also those before a restart of the server."""
    given = {
        "thing": thing,
        "action": action,
        "status": status,
        "since": since,
        "until": until,
        "text": text,
    }
    filters = {name: value for name, value in given.items() if value}
    with bench(server, verify) as opened:
        found = opened.run(list_runs(opened.place, filters, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("run", "action", "status", "requested", "progress"),
        (
            (
                each["id"],
                f"{each['thing']}.{each['action']}",
                each["status"],
                str(each["timeRequested"]).partition(".")[0],
                _percent(each.get("progress")),
            )
            for each in found
        ),
    )


def _percent(progress: Any) -> str:
    return f"{progress:.0f} %" if isinstance(progress, int | float) else ""


def show(run: Id, server: Server = DEFAULT_SERVER, verify: Verify = "", json: Json = False) -> None:
    """Show all that is known of a run."""
    with bench(server, verify) as opened:
        state = opened.run(find_run(opened.place, run))
    if json:
        print_json(state.members)
        return
    members = state.members
    names = ("id", "action", "status", "phase", "timeRequested", "timeStarted", "timeCompleted")
    rows = [(name, members[name]) for name in (*names, "input", "output") if _has(members, name)]
    error = run_error(state.action, state.id, members)
    if error is not None:
        rows.append(("error", str(error)))
    print_table(("", ""), rows)


def _has(members: Mapping[str, Any], name: str) -> bool:
    return members.get(name) is not None


def cancel(
    run: Id, server: Server = DEFAULT_SERVER, verify: Verify = "", json: Json = False
) -> None:
    """Ask a run to stop; it does so at its next cancellation point."""
    with bench(server, verify) as opened:
        state = opened.run(find_run(opened.place, run))
        answer: Answer = opened.run(cancel_request(opened.place, str(state.id)))
    if not answer.ok:
        problem = {"status": answer.status, **problem_of(answer)}
        error = request_error(answer, f"Run {state.id} was not cancelled")
        raise type(error)(str(error), problem=problem)
    if json:
        print_json({"id": state.id, "cancelRequested": True})
    else:
        print_text(f"Run {state.id} was asked to stop.")


def logs(
    run: Id,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on until the run has ended.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Print the log of a run."""
    with bench(server, verify) as opened:
        state = opened.run(find_run(opened.place, run))
        if follow and state.is_open:
            _follow_log(opened, state, json=json)
            return
    entries = state.members.get("log") or []
    if json and not follow:
        print_json(entries)
        return
    for entry in entries:
        _print_entry(entry, json=json)


def _print_entry(entry: Any, *, json: bool) -> None:
    if json:
        print_line(entry)
        return
    found = entry if isinstance(entry, Mapping) else {}
    parts = (found.get("created") or found.get("timestamp"), found.get("levelname"))
    head = " ".join(str(part) for part in parts if part)
    print_text(f"{head}: {found.get('message', '')}")


def _follow_log(opened: CommandBench, state: RunState, *, json: bool) -> None:
    feed = RunFeed(ours(opened), state)
    try:
        while True:
            for kind, data in opened.run(feed.next()):
                if kind == "log":
                    _print_entry(data, json=json)
            if feed.over:
                return
    finally:
        opened.run(feed.close())


def ours(opened: CommandBench) -> ThingProtocol:
    """Return the protocol of our servers, for runs whose Thing does not matter."""
    return ThingProtocol(Description(opened.place, {"@context": [{"labthings": ""}]}))
