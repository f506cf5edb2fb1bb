"""Listening on the network: refused without authentication, and warnings at the start."""

from __future__ import annotations

from labthings_fastapi.exceptions import UnprotectedError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.security.addresses import is_loopback

from .checks import AccessChecks

LOGGER = own_logger("security")


def check_listen_host(access: AccessChecks, host: str) -> None:
    if not (access.authentication.required or access.insecure or is_loopback(host)):
        raise UnprotectedError(host)


def warn_of_exposure(access: AccessChecks, host: str, *, tls: bool) -> None:
    if is_loopback(host):
        return
    if not access.authentication.required:
        LOGGER.warning(
            "INSECURE: every client that reaches %r over the network may use the instruments of "
            "this server. Make a token with `labthings-server token create`: then the server "
            "requires authentication.",
            host,
        )
    elif not tls:
        LOGGER.warning(
            "Tokens and passwords are sent to %r without encryption, and others on the network "
            "can read them: serve with --tls, or behind a proxy that uses TLS.",
            host,
        )
