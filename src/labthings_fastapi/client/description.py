"""A Thing Description as a client uses it: which request belongs to which operation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urljoin, urlsplit

from labthings_fastapi.exceptions import ClientError, ForeignAddressError
from labthings_fastapi.outputs.npy import NPY, NPZ

Kind = Literal["properties", "actions", "events"]

_DEFAULT_METHOD = {"readproperty": "GET", "writeproperty": "PUT", "invokeaction": "POST"}
_DEFAULT_OPERATIONS = {
    "properties": ("readproperty", "writeproperty"),
    "actions": ("invokeaction",),
    "events": ("subscribeevent", "unsubscribeevent"),
}
_PORTS = {"http": 80, "https": 443}
_VARIABLE = re.compile(r"\{([?&]?)([^{}]*)\}")


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL: what credentials are sent to (RFC 6454)."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        port = None
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


@dataclass(frozen=True, slots=True)
class Form:
    """How one operation is asked for (W3C TD 1.1, 5.3.4.2); `href` is absolute."""

    href: str
    method: str
    subprotocol: str | None = None
    content_type: str = "application/json"

    def url(self, **variables: str) -> str:
        """Return the address with these URI variables (RFC 6570: simple and query ones)."""

        def value(found: re.Match[str]) -> str:
            names = [name for name in found[2].split(",") if name in variables]
            if not found[1]:
                return ",".join(quote(variables[name], safe="") for name in names)
            pairs = [f"{quote(name)}={quote(variables[name], safe='')}" for name in names]
            return found[1] + "&".join(pairs) if pairs else ""

        return _VARIABLE.sub(value, self.href)


class Description:
    """One Thing Description (1.0 or 1.1), or what the library `webthing` has in its place.

    Immutable. `url` is where it was found; every address must be on the same origin.
    """

    def __init__(self, url: str, members: Any) -> None:
        if not isinstance(members, Mapping):
            raise ClientError(f"{url} is no Thing Description: it is no JSON object.")
        self.url = url
        self.members = members
        base = members.get("base")
        self.base = urljoin(url, base) if isinstance(base, str) and base else url
        self.title = str(members.get("title") or members.get("id") or url)

    @property
    def id(self) -> str | None:
        """The id that it states."""
        id = self.members.get("id")
        return id if isinstance(id, str) else None

    @property
    def name(self) -> str:
        """The last part of its address: for our servers, the Thing's name."""
        return urlsplit(self.url).path.strip("/").rpartition("/")[2] or self.title

    def affordances(self, kind: Kind) -> dict[str, Mapping[str, Any]]:
        """Return the properties, actions or events by name."""
        found = self.members.get(kind)
        if not isinstance(found, Mapping):
            return {}
        return {str(name): each for name, each in found.items() if isinstance(each, Mapping)}

    def form(
        self,
        kind: Kind,
        name: str,
        operation: str,
        subprotocols: Sequence[str | None] = (None,),
    ) -> Form | None:
        """Return the form of an operation, by the order of `subprotocols`; None if it has none.

        Raises:
            ForeignAddressError: the form leads to another server than the description.
        """
        affordance = self.affordances(kind)[name]
        return self._pick(affordance, _DEFAULT_OPERATIONS[kind], operation, subprotocols)

    def array_form(self, kind: Kind, name: str, operation: str) -> Form | None:
        """Return the form in which arrays are sent as files of numpy; None if there is none.

        Its `content_type` is that of the arrays: of the input, of a value that is read or written.
        """
        affordance = self.affordances(kind).get(name, {})
        for form, address in self._forms(affordance):
            content_type = str(form.get("contentType"))
            fits = operation in _operations(form, _DEFAULT_OPERATIONS[kind])
            if fits and content_type in (NPY, NPZ) and form.get("subprotocol") is None:
                self._check(address)
                method = form.get("htv:methodName")
                method = method if isinstance(method, str) else _method(operation)
                return Form(address, method, None, content_type)
        return None

    def top_form(self, operation: str, subprotocols: Sequence[str | None] = (None,)) -> Form | None:
        """Return the form of an operation on the whole Thing; None if it has none."""
        return self._pick(self.members, (), operation, subprotocols)

    def _pick(
        self,
        place: Mapping[str, Any],
        default: tuple[str, ...],
        operation: str,
        subprotocols: Sequence[str | None],
    ) -> Form | None:
        forms = [
            (form, address)
            for form, address in self._forms(place)
            if operation in _operations(form, default)
        ]
        for subprotocol in subprotocols:
            fitting = [each for each in forms if each[0].get("subprotocol") == subprotocol]
            if fitting:
                # node-wot lists each address of its computer, each with JSON and CBOR.
                form, address = min(fitting, key=self._strangeness)
                self._check(address)
                method = form.get("htv:methodName")
                return Form(
                    address,
                    method if isinstance(method, str) else _method(operation),
                    subprotocol,
                    str(form.get("contentType", "application/json")),
                )
        return None

    def _strangeness(self, found: tuple[Mapping[str, Any], str]) -> tuple[bool, bool]:
        form, address = found
        return origin_of(address) != origin_of(self.url), not _is_json(form.get("contentType"))

    def _forms(self, place: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
        forms = place.get("forms")
        if forms is None:  # `webthing` has links in their place
            forms = [
                {"href": link.get("href")}
                for link in place.get("links", ())
                if isinstance(link, Mapping) and link.get("rel") in ("property", "action", "event")
            ]
        for form in forms if isinstance(forms, list) else ():
            href = form.get("href") if isinstance(form, Mapping) else None
            if isinstance(href, str):
                address = urljoin(self.base, href)
                if urlsplit(address).scheme in _PORTS:
                    yield form, address

    def resolve(self, href: str) -> str:
        """Return an address that an answer of the server states, as an absolute one.

        Raises:
            ForeignAddressError: it leads to another server.
        """
        address = urljoin(self.base, href)
        self._check(address)
        return address

    def _check(self, address: str) -> None:
        if origin_of(address) != origin_of(self.url):
            raise ForeignAddressError(address, self.url)

    @property
    def is_webthing(self) -> bool:
        """Whether it is of the library `webthing`, which wraps values in an object."""
        return "forms" not in self.members and any(
            "links" in each and "forms" not in each
            for kind in ("properties", "actions")
            for each in self.affordances(kind).values()
        )


def _is_json(content_type: Any) -> bool:
    if content_type is None:
        return True
    media_type = str(content_type).partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _operations(form: Mapping[str, Any], default: tuple[str, ...]) -> tuple[str, ...]:
    stated = form.get("op")
    if isinstance(stated, str):
        return (stated,)
    if isinstance(stated, list):
        return tuple(str(each) for each in stated)
    return default


def _method(operation: str) -> str:
    if operation in _DEFAULT_METHOD:
        return _DEFAULT_METHOD[operation]
    if operation.startswith("write"):
        return "PUT"
    return "DELETE" if operation.startswith("cancel") else "GET"
