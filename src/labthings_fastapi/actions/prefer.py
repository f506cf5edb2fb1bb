"""The `Prefer` header: how long a client is willing to wait (RFC 7240, section 4.3)."""

from __future__ import annotations

import re

LONGEST_WAIT = 60.0
_WAIT = re.compile(r"""(?:^|[,;])\s*wait\s*(?:=\s*"?(\d{1,9})"?)?\s*(?=$|[,;])""", re.IGNORECASE)


def wait_seconds(header: str | None, default: float) -> float | None:
    """Return how long to wait for a run to end, at most 60 s; None if the client did not ask.

    A bare `Prefer: wait` means the action's own `response_timeout`, given as `default`.
    """
    found = _WAIT.search(header) if header else None
    if found is None:
        return None
    asked = float(found[1]) if found[1] is not None else default
    return min(asked, LONGEST_WAIT)


def applied(seconds: float) -> dict[str, str]:
    """Return the header that says that the preference was honoured (section 3)."""
    return {"Preference-Applied": f"wait={seconds:g}"}
