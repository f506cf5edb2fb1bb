"""Whether a client may change something, and the record that it did."""

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


class Refused(Exception):  # noqa: N818 - carries an answer
    """A request is answered with this problem, which no other exception stands for."""

    def __init__(self, problem: Problem) -> None:
        """Keep the answer."""
        super().__init__(problem.detail)
        self.problem = problem


def require_operator(scope: Mapping[str, Any], thing: str) -> None:
    """Let a change pass if whoever opened the socket may make it.

    The door puts its visitor into the ASGI scope; without a door everything is allowed. It closes
    the sockets of those whose token has ended, but only every few seconds, so it is asked here too.

    Raises:
        NotAllowedError: with status 403.
        Refused: with status 401, what the client has shown is not valid any more.
    """
    still_holds: Callable[[], bool] | None = scope.get(STILL_HOLDS)
    if still_holds is not None and not still_holds():
        raise Refused(
            not_authenticated(
                f"The token or password that opened this socket has expired or was revoked, so "
                f"Thing {thing!r} was left as it is: open another socket with one that is valid.",
            )
        )
    actor: Actor | None = scope.get(ACTOR)
    if actor is not None and not actor.may(thing, "operator"):
        raise NotAllowedError(actor.name, actor.role_for(thing), "operator", thing)


def audit(scope: Mapping[str, Any], thing: str, what: str, operation: str, status: int) -> None:
    """Have a change recorded, as the door does for HTTP, if it keeps such a record.

    Runs have records of their own, and a request that was not valid changed nothing; but that
    somebody tried what they may not is worth a line.
    """
    record = scope.get(AUDIT)
    changed = operation != "invokeaction" and not 400 <= status < 500
    if record is None or not (changed or status == 403):
        return
    try:
        record(thing, what, operation, status)
    except Exception:
        LOGGER.exception("%s of %s.%s could not be audited.", operation, thing, what)
