"""The reasons to refuse a request, as problems; pure."""

from __future__ import annotations

from labthings_fastapi.problems import (
    Problem,
    message_problem,
    not_authenticated,
    problem_for_status,
)


def repeated_header(name: bytes) -> Problem:
    text = name.decode("latin-1")
    return problem_for_status(400, f"The header {text!r} is sent more than once: send it once.")


def no_host() -> Problem:
    return problem_for_status(400, "The request has no Host header, which HTTP/1.1 requires.")


def unknown_host(host: bytes) -> Problem:
    name = host.decode("latin-1")
    return message_problem(
        "unknown-host",
        "Unknown host name",
        421,
        f"{name!r} is not a name of this server. Add it to `allowed_hosts` in the configuration, "
        "or use an IP address.",
    )


def foreign_page(origin: bytes | None) -> Problem:
    page = f"A page of {origin.decode('latin-1')!r}" if origin else "A page of another site"
    return message_problem(
        "cross-site",
        "Web pages of other origins may not do this",
        403,
        f"{page} sent this request. To allow it, add the page's origin to `cors_origins` in the "
        "configuration.",
    )


def unprotected(address: str) -> Problem:
    return message_problem(
        "unprotected",
        "The server has no authentication, so it serves its own computer only",
        403,
        f"The request came from {address}, and the server has no authentication. Make a token with "
        "`labthings-server token create --role operator` and restart the server, or set "
        "`security.insecure` in its configuration to let every client use its instruments.",
    )


def unauthenticated(*, invalid: bool, passwords: bool) -> Problem:
    challenge = 'Bearer realm="LabThings"'
    if invalid:
        challenge += ', error="invalid_token"'
    if passwords:
        challenge += ', Basic realm="LabThings", charset="UTF-8"'
    reason = (
        "The token or password is not valid, has expired or was revoked. "
        if invalid
        else "This server requires authentication. "
    )
    problem = not_authenticated(
        reason + "Send the header `Authorization: Bearer <token>`; make a token on the server's "
        "computer with `labthings-server token create`.",
    )
    problem.headers["WWW-Authenticate"] = challenge
    return problem
