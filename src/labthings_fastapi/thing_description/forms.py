"""Forms: how a client reaches an affordance (W3C TD 1.1, section 5.3.4.2); pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def form(
    href: str,
    op: str | Sequence[str],
    *,
    content_type: str = "application/json",
    subprotocol: str | None = None,
    method: str | None = None,
) -> dict[str, Any]:
    """Return a form; members without a value are left out.

    `method` is the HTTP method (`htv:methodName`, WoT HTTP Binding).
    """
    found: dict[str, Any] = {
        "href": href,
        "op": op if isinstance(op, str) else list(op),
        "contentType": content_type,
    }
    if subprotocol is not None:
        found["subprotocol"] = subprotocol
    if method is not None:
        found["htv:methodName"] = method
    return found
