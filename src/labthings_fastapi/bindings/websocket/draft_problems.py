"""Problems in the words of the Web Thing Protocol (draft of 22 October 2025, section 6.6)."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from labthings_fastapi.problems import TYPE_PREFIX

if TYPE_CHECKING:
    from labthings_fastapi.problems import Problem

ERRORS = "https://w3c.github.io/web-thing-protocol/errors#"
"""The addresses of the draft's kinds of errors begin with this; it calls them placeholders."""

_COMMON_KINDS = frozenset(
    TYPE_PREFIX + slug
    for slug in (
        "bad-request",
        "malformed-body",
        "not-allowed",
        "affordance-not-found",
        "thing-not-found",
        "too-busy",
    )
)


def in_words_of_the_draft(problem: Problem) -> Problem:
    """Return the problem with the draft's type and title, if one of its kinds says as much.

    Others keep a type of their own, which tells more and is the same over HTTP: that it is the code
    of the Thing that failed, for example. The draft allows that.
    """
    return as_common_kind(problem) if problem.type in _COMMON_KINDS else problem


def as_common_kind(problem: Problem, status: int | None = None) -> Problem:
    """Return the problem as one of the draft's kinds: status 400, 403, 404, 500 or 503."""
    kind = HTTPStatus(problem.status if status is None else status)
    return replace(problem, status=kind.value, type=f"{ERRORS}{kind.value}", title=kind.phrase)
