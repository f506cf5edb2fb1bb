"""Whether a client may change something, and the record that it did."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from labthings_fastapi.problems import Problem, message_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

LOGGER = logging.getLogger("labthings_fastapi.websocket")
ACTOR, AUDIT = "labthings.actor", "labthings.audit"


class Refused(Exception):  # noqa: N818 - carries an answer
    """A request is answered with this problem, which no other exception stands for."""

    def __init__(self, problem: Problem) -> None:
        """Keep the answer."""
        super().__init__(problem.detail)
        self.problem = problem


def require_operator(scope: Mapping[str, Any], thing: str, operation: str) -> None:
    """Let a change pass if whoever opened the socket may make it.

    The door puts its visitor into the ASGI scope; without a door everything is allowed.

    Raises:
        Refused: with status 403.
    """
    actor = scope.get(ACTOR)
    if actor is not None and not actor.may(thing, "operator"):
        raise Refused(
            message_problem(
                "forbidden",
                "Not allowed for this role",
                403,
                f"{actor.name!r} may look at Thing {thing!r}, but not {operation}: that takes the "
                "role 'operator'.",
            )
        )


def audit(scope: Mapping[str, Any], thing: str, what: str, operation: str, status: int) -> None:
    """Have a change recorded, also one that was refused, if the door keeps such a record."""
    record = scope.get(AUDIT)
    if record is None:
        return
    try:
        record(thing, what, operation, status)
    except Exception:
        LOGGER.exception("%s of %s.%s could not be audited.", operation, thing, what)
