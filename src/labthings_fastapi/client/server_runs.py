"""The runs and messages of a whole server, as steps; only our servers have these addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urljoin
from uuid import UUID

from labthings_fastapi.exceptions import ClientError

from .feeds import FROM_THE_START, EventFeed
from .problems import request_error
from .protocol import RunState, fetch
from .run_files import listed_files
from .steps import Answer, Request, Steps

_PAGE = 1000


class UnknownRunError(ClientError, LookupError):
    """The server has no such run, or has several whose ids begin like that."""

    def __str__(self) -> str:
        return str(self.args[0])


def _get(address: str, what: str) -> Steps[Any]:
    answer: Answer = yield from fetch(Request("GET", address), repeat=True)
    if not answer.ok:
        raise request_error(answer, what)
    return answer.json()


def list_runs(place: str, filters: Mapping[str, str], limit: int = 100) -> Steps[list[Any]]:
    """List runs, newest first: those of the journal, with what is known of those that go on.

    `filters` are parameters of the journal: thing, action, status, since, until, text, actor.
    """
    journal = urljoin(place, "journal")
    found: list[Any] = []
    cursor: str | None = None
    while len(found) < limit:
        query = {**filters, "kind": "run", "limit": str(min(_PAGE, limit - len(found)))}
        if cursor is not None:
            query["cursor"] = cursor
        page = yield from _get(f"{journal}?{urlencode(query)}", f"The runs of {place}")
        found += page["records"]
        cursor = page.get("next")
        if cursor is None:
            break
    open_runs = yield from list_open_runs(place)
    present = {run["id"]: run for run in open_runs}
    return [{**each, **_progress_of(present.get(each["id"], {}))} for each in found]


def _progress_of(run: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("status", "phase", "progress", "progressDetail", "queuePosition")
    return {name: run[name] for name in kept if run.get(name) is not None}


def list_open_runs(place: str) -> Steps[list[Any]]:
    """List the runs that have not ended, oldest first."""
    found: list[Any] = []
    for status in ("running", "pending"):
        address = urljoin(place, f"action_invocations?status={status}")
        found += yield from _get(address, f"The runs of {place}")
    return found


def find_run(place: str, id: str) -> Steps[RunState]:
    """Return a run by its id, or by the first characters of it.

    Raises:
        UnknownRunError: there is no such run, or more than one.
    """
    full = yield from _full_id(place, id)
    address = urljoin(place, f"action_invocations/{full}")
    answer: Answer = yield from fetch(Request("GET", address), repeat=True)
    if answer.status == 404:
        raise UnknownRunError(f"The server at {place} has no run {full}.")
    if not answer.ok:
        raise request_error(answer, f"Run {full}")
    members = answer.json()
    return RunState(str(members.get("action")), dict(members), address)


def _full_id(place: str, id: str) -> Steps[str]:
    try:
        return str(UUID(id))
    except ValueError:
        pass
    runs = yield from list_runs(place, {}, _PAGE)
    found = [run for run in runs if run["id"].startswith(id.lower())] if id else []
    if len(found) == 1:
        return str(found[0]["id"])
    if not found:
        raise UnknownRunError(
            f"The server at {place} has no run whose id begins with {id!r}. `labthings runs` "
            "lists the ids."
        )
    raise UnknownRunError(
        f"{len(found)} runs have an id that begins with {id!r}. Write more of it."
    )


def cancel_request(place: str, id: str) -> Steps[Answer]:
    """Ask a run to stop; the answer is 409 if it had ended."""
    answer: Answer = yield Request("DELETE", urljoin(place, f"action_invocations/{quote(id)}"))
    return answer


def pin_request(place: str, id: str, *, pinned: bool) -> Steps[Answer]:
    """Keep a run beyond every age and limit, or no longer."""
    address = urljoin(place, f"action_invocations/{quote(id)}/pin")
    answer: Answer = yield Request("POST" if pinned else "DELETE", address)
    return answer


def file_list(place: str, run: RunState) -> Steps[dict[str, Any]]:
    """Return what the server says of the files that a run left, by name."""
    address = urljoin(place, f"action_invocations/{run.id}/files")
    listed = yield from _get(address, f"The files of run {run.id}")
    return listed_files(address, listed, lambda href: urljoin(address, href))


def files_of(place: str, run: RunState) -> Steps[dict[str, str]]:
    """Return the addresses of the files that a run left, by name."""
    found = yield from file_list(place, run)
    return {name: each["href"] for name, each in found.items()}


class ServerFeed:
    """All that happens on a server, from what it still remembers; for one user at a time."""

    def __init__(self, place: str) -> None:
        self._feed = EventFeed(urljoin(place, "events"), FROM_THE_START)

    def open(self) -> Steps[None]:
        """Connect now."""
        yield from self._feed.open()

    def next(self) -> Steps[list[Any]]:
        """Give what has happened: kind of message, its number, and data as JSON text."""
        events = yield from self._feed.next()
        return [{"event": each.event, "id": each.id, "data": each.data} for each in events]

    def close(self) -> Steps[None]:
        """Close the connection."""
        yield from self._feed.close()
