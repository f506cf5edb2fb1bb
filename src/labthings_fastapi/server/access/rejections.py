"""The reasons for which a request is turned away at the door, as problems; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.problems import (
    Problem,
    message_problem,
    not_authenticated,
    problem_for_status,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_ONCE = frozenset(
    {b"host", b"origin", b"authorization", b"content-length", b"sec-fetch-site", b"content-type"}
)


def repeated_header(headers: Sequence[tuple[bytes, bytes]]) -> Problem | None:
    """Refuse headers that come twice, of which the parts of a server could read different ones."""
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in _ONCE and name in seen:
            return problem_for_status(
                400, f"The header {name.decode('latin-1')!r} comes more than once: send one."
            )
        seen.add(name)
    return None


def no_host() -> Problem:
    """Refuse a request of HTTP/1.1 that does not say whom it is for (RFC 9112, section 3.2)."""
    return problem_for_status(400, "The request has no Host header, which HTTP/1.1 requires.")


def unknown_host(host: bytes) -> Problem:
    """Refuse a name that is not ours."""
    name = host.decode("latin-1")
    return message_problem(
        "unknown-host",
        "This server does not answer to that name",
        421,
        f"{name!r} is not a name of this server. If it should be, add it to `allowed_hosts` in "
        "the configuration; an IP address always works.",
    )


def foreign_page(origin: bytes | None) -> Problem:
    """Refuse what another site's page asks for."""
    page = f"A page of {origin.decode('latin-1')!r}" if origin else "A page of another site"
    return message_problem(
        "cross-site",
        "Web pages of other origins may not do this",
        403,
        f"{page} asked for this. If that page should be able to, add its origin to "
        "`cors_origins` in the configuration.",
    )


def unprotected(peer: str) -> Problem:
    """Refuse clients from the network while nobody has to say who they are."""
    return message_problem(
        "unprotected",
        "This server is not protected, so it answers its own computer only",
        403,
        f"The request came from {peer}, and this server asks nobody who they are. Make a token "
        "with `labthings-server token create --role operator` and restart the server, or set "
        "`security.insecure` in its configuration if everybody may move its instruments.",
    )


def unknown_actor(*, tried: bool, passwords: bool) -> Problem:
    """Ask a client to say who it is (RFC 9110, section 15.5.2)."""
    challenge = 'Bearer realm="LabThings"'
    if tried:
        challenge += ', error="invalid_token"'
    if passwords:
        challenge += ', Basic realm="LabThings", charset="UTF-8"'
    detail = (
        "The token or password is not valid, has expired or was revoked. "
        if tried
        else "This server wants to know who asks. "
    )
    problem = not_authenticated(
        detail + "Send the header `Authorization: Bearer <token>`; on the server's computer, "
        "`labthings-server token create` makes a token.",
    )
    problem.headers["WWW-Authenticate"] = challenge
    return problem
