"""Which Things a server has: by its list, by its Thing Directory, or by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urljoin

from labthings_fastapi.exceptions import ClientError

from .description import Description
from .problems import request_error
from .protocol import fetch
from .steps import Answer, Request, Steps

_NEXT = re.compile(r'<([^<>]*)>[^<>]*;\s*rel="?next"?(?![\w-])')
_PAGES = 1000  # of a directory: one that always has a next page is left
_TD = {"Accept": "application/td+json, application/json;q=0.9, */*;q=0.1"}


def things_of(url: str) -> Steps[dict[str, Description]]:
    """Get the Things of a server by name.

    `url` may also be the address of one Thing Description, of a list of them, or of a list of
    their addresses: servers of others have no list of ours, and rarely a directory.
    """
    place = url if url.endswith("/") else f"{url}/"
    answer: Answer = yield from fetch(Request("GET", urljoin(place, "thing_descriptions/")))
    found = _json_of(answer)
    if isinstance(found, dict):
        named = {str(name): each for name, each in found.items() if _is_description(each)}
        if named or not found:
            return {name: Description(urljoin(place, f"{name}/"), named[name]) for name in named}
    if answer.status in (401, 403):
        raise request_error(answer, f"The Things of {place} cannot be listed")
    address = urljoin(place, ".well-known/wot")
    found = _json_of((yield from fetch(Request("GET", address, headers=_TD))))
    if isinstance(found, dict) and "ThingDirectory" in str(found.get("@type")):
        return (yield from things_of_directory(Description(address, found)))
    if _is_description(found):
        return _by_name([Description(address, found)])
    return (yield from _things_at(url))


def things_of_directory(directory: Description) -> Steps[dict[str, Description]]:
    """Get the Things of a Thing Directory (W3C WoT Discovery, 7.3), page by page."""
    form = directory.form("properties", "things", "readproperty")
    if form is None:
        raise ClientError(f"The directory {directory.url} does not say where its Things are.")
    address: str | None = form.url()
    things: list[Description] = []
    for _ in range(_PAGES):
        if address is None:
            break
        answer: Answer = yield from fetch(Request("GET", address), repeat=True)
        listed = _json_of(answer)
        if not isinstance(listed, list):
            raise request_error(answer, f"The directory {directory.url} cannot be read")
        things += [Description(address, each) for each in listed if _is_description(each)]
        following = _NEXT.search(answer.headers.get("link", ""))
        address = directory.resolve(urljoin(address, following[1])) if following else None
    return _by_name(things)


def _things_at(url: str) -> Steps[dict[str, Description]]:
    answer: Answer = yield from fetch(Request("GET", url, headers=_TD))
    found = _json_of(answer)
    if _is_description(found):
        return _by_name([Description(url, found)])
    listed = found if isinstance(found, list) else []
    things = []
    for each in listed:
        if isinstance(each, str):  # node-wot lists addresses
            address = Description(url, {}).resolve(each)
            each = _json_of((yield from fetch(Request("GET", address, headers=_TD))))
        else:  # `webthing` lists descriptions
            href = each.get("href") if isinstance(each, Mapping) else None
            address = urljoin(url, href) if isinstance(href, str) else url
        if _is_description(each):
            things.append(Description(address, each))
    if things:
        return _by_name(things)
    if answer.status in (401, 403):
        raise request_error(answer, f"The Things of {url} cannot be listed")
    raise ClientError(
        f"{url} is no server of Things that can be listed: it has neither a list nor a directory, "
        "and is no Thing Description. Give the address of a Thing Description."
    )


def _by_name(things: Iterable[Description]) -> dict[str, Description]:
    """Name each by its title; those with a title that is taken by their id or address."""
    named: dict[str, Description] = {}
    for each in things:
        name = next(
            (name for name in (each.title, each.id) if name and name not in named), each.url
        )
        named[name] = each
    return named


def _is_description(found: Any) -> bool:
    kinds = ("properties", "actions", "events", "securityDefinitions")
    return isinstance(found, dict) and "title" in found and any(kind in found for kind in kinds)


def _json_of(answer: Answer) -> Any:
    try:
        return answer.json() if answer.ok else None
    except (ValueError, RecursionError):
        return None
