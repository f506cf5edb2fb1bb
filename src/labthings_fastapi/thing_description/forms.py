"""Forms: how a client performs an operation (W3C TD 1.1, section 5.3.4.2); pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Form = dict[str, Any]


def form(
    href: str,
    op: str | Sequence[str],
    *,
    content_type: str | None = "application/json",
    subprotocol: str | None = None,
    method: str | None = None,
    response_content_type: str | None = None,
    additional_responses: Sequence[Mapping[str, Any]] = (),
    security: str | Sequence[str] | None = None,
    scopes: str | Sequence[str] | None = None,
    **extensions: Any,
) -> Form:
    """Return a form without the members whose value is None.

    `method` is the HTTP method (`htv:methodName`, WoT HTTP Binding). Give `response_content_type`
    if it differs from `content_type`. `extensions` are members with a prefix, given as
    `**{"labthings:group": "axes"}`.
    """
    members = {
        "href": href,
        "op": _one_or_many(op),
        "contentType": content_type,
        "subprotocol": subprotocol,
        "htv:methodName": method,
        "response": {"contentType": response_content_type} if response_content_type else None,
        "additionalResponses": [dict(response) for response in additional_responses] or None,
        "security": _one_or_many(security),
        "scopes": _one_or_many(scopes),
        **extensions,
    }
    return {name: value for name, value in members.items() if value is not None}


def in_order(forms: Iterable[Form]) -> list[Form]:
    """Sort the forms of one affordance for clients that use the first form they support.

    The order is: plain HTTP (reading before writing), long polling, server-sent events, all other
    protocols. The sort is stable.
    """
    return sorted(forms, key=_rank)


_SUBPROTOCOLS = {None: 0, "longpoll": 1, "sse": 2}


def _rank(form: Mapping[str, Any]) -> tuple[int, bool]:
    rank = _SUBPROTOCOLS.get(form.get("subprotocol"), 3)
    scheme, has_scheme, _ = str(form.get("href", "")).partition("://")
    if has_scheme and scheme not in ("http", "https"):
        rank = 3
    return rank, form.get("op") == "writeproperty"


def _one_or_many(value: str | Sequence[str] | None) -> str | list[str] | None:
    return value if value is None or isinstance(value, str) else list(value)
