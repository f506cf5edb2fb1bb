"""What servers of others do in ways of their own, as `docs/standards.md` lists it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class HololinkedFailureError(Exception):
    """hololinked tells failures with status 200: `problem` and `traceback` are in its answer."""

    def __init__(self, problem: dict[str, Any], traceback: str) -> None:
        """Keep what it told."""
        super().__init__(problem["detail"])
        self.problem = problem
        self.traceback = traceback


def hololinked_value(value: Any) -> Any:
    """Return the value of an answer of hololinked.

    Raises:
        HololinkedFailureError: it is no value, but tells a failure.
    """
    failure = value.get("exception") if isinstance(value, dict) else None
    if not isinstance(failure, Mapping) or not {"type", "message"} <= failure.keys():
        return value
    title, message = str(failure["type"]), str(failure["message"])
    if title == message:  # as it writes exceptions of libraries
        title = "The server refused, or failed"
    lines = failure.get("traceback")
    traceback = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
    raise HololinkedFailureError({"title": title, "detail": message, "status": 500}, traceback)


def hololinked_href(url: str) -> str:
    """Return the address of an action of hololinked so that the answer comes at its end.

    Otherwise it answers 408 after 5 s, and the action goes on without anybody who could know.
    """
    return f"{url}{'&' if '?' in url else '?'}executionTimeout=null"


def webthing_events(name: str, value: Any) -> list[Any]:
    """Return the data of each event in the list that `webthing` keeps, oldest first."""
    listed = value if isinstance(value, list) else []
    events = [each[name] for each in listed if isinstance(each, Mapping) and name in each]
    return [event.get("data") if isinstance(event, Mapping) else event for event in events]
