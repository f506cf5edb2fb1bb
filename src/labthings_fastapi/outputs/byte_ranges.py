"""Which bytes a request asks for, and whether it has them already (RFC 9110, 13 and 14). Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*")


class Selection(NamedTuple):
    """What to send: `status` 200, 206, 304, 412 or 416, and the bytes from `start` to `stop`."""

    status: int
    start: int
    stop: int


def select_bytes(headers: Mapping[str, str], size: int, etag: str, modified: datetime) -> Selection:
    """Return what a GET or HEAD with these headers, whose names are in lower case, is sent.

    Of several ranges in one request the whole is sent, as the standard allows.
    """
    whole = Selection(200, 0, size)
    if "if-match" in headers and not _lists(headers["if-match"], etag):
        return Selection(412, 0, 0)
    if "if-none-match" in headers:
        if _lists(headers["if-none-match"], etag, weak=True):
            return Selection(304, 0, 0)
    elif "if-modified-since" in headers:
        since = _date(headers["if-modified-since"])
        if since is not None and modified.replace(microsecond=0) <= since:
            return Selection(304, 0, 0)
    wanted = headers.get("range")
    if wanted is None or not _is_current(headers.get("if-range"), etag, modified):
        return whole
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or not (found[1] or found[2]):
        return whole  # another unit, or several ranges
    if not found[1]:
        start, stop = max(0, size - int(found[2])), size
    else:
        start, stop = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
        if found[2] and int(found[2]) < start:
            return whole  # not valid, so it counts as absent
    return Selection(206, start, stop) if start < stop else Selection(416, 0, 0)


def _lists(header: str, etag: str, *, weak: bool = False) -> bool:
    listed = [each.strip() for each in header.split(",")]
    if weak:
        listed = [each.removeprefix("W/") for each in listed]
    return "*" in listed or etag in listed


def _is_current(if_range: str | None, etag: str, modified: datetime) -> bool:
    if if_range is None:
        return True
    if if_range.strip().startswith(('"', "W/")):
        return if_range.strip() == etag
    return _date(if_range) == modified.replace(microsecond=0)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def http_date(time: datetime) -> str:
    """Return a time as HTTP writes it."""
    return format_datetime(time.astimezone(UTC).replace(microsecond=0), usegmt=True)
