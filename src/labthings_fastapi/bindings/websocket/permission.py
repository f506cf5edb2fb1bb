"""Whether a client may change a Thing, and the audit record of the change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import NotAllowedError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.problems import not_authenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labthings_fastapi.problems import Problem
    from labthings_fastapi.security.roles import Actor

LOGGER = own_logger("websocket")
ACTOR, AUDIT, STILL_HOLDS = "labthings.actor", "labthings.audit", "labthings.still_holds"
"""Keys of the ASGI scope that the server's access middleware sets."""


class RequestRefused(Exception):  # noqa: N818 - carries a response
    """A request is refused with this problem."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(problem.detail)
        self.problem = problem


def require_operator(scope: Mapping[str, Any], thing: str) -> None:
    """Raise an error unless the client of this socket may change the Thing.

    The access middleware puts the client's identity into the ASGI scope; without the middleware
    every client may. The middleware closes the sockets of expired credentials only every few
    seconds, so each change checks the credential again.

    Raises:
        NotAllowedError: status 403.
        RequestRefused: status 401, the credential has expired or was revoked.
    """
    still_holds: Callable[[], bool] | None = scope.get(STILL_HOLDS)
    if still_holds is not None and not still_holds():
        raise RequestRefused(
            not_authenticated(
                f"Thing {thing!r} was not changed: the token or password of this socket has "
                "expired or was revoked. Open another socket with a valid one.",
            )
        )
    actor: Actor | None = scope.get(ACTOR)
    if actor is not None and not actor.may(thing, "operator"):
        raise NotAllowedError(actor.name, actor.role_for(thing), "operator", thing)


def audit(
    scope: Mapping[str, Any],
    thing: str,
    affordance: str,
    operation: str,
    status: int,
    *,
    reached: bool = False,
) -> None:
    """Record a change, or an attempt without permission, in the audit log of the server.

    Invocations have records of their own. Requests that were not valid changed nothing, unless
    they `reached` code of the Thing.
    """
    record = scope.get(AUDIT)
    is_change = operation != "invokeaction" and (reached or not 400 <= status < 500)
    if record is None or not (is_change or status == 403):
        return
    try:
        record(thing, affordance, operation, status)
    except Exception:
        LOGGER.exception("%s of %s.%s could not be audited.", operation, thing, affordance)
