"""Roles and actors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["viewer", "operator", "admin"]
"""`viewer` reads; `operator` also writes and runs actions; `admin` may do everything."""

ROLES: tuple[Role, ...] = get_args(Role)
_RANK = {role: rank for rank, role in enumerate(ROLES)}


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or program that is authenticated; immutable."""

    name: str
    role: Role
    things: Mapping[str, Role] = field(default_factory=dict)
    """Thing name → role, for Things where the role is not the general one."""
    credential: str = field(default="", repr=False)
    """The hash of the token or password; it differs for a new token of the same name."""

    session: str = field(default="", repr=False, compare=False)
    """The hash of the session's id, if a cookie authenticated this request."""

    @property
    def is_restricted(self) -> bool:
        """Whether the actor may change single Things at most, and so has a share of the server."""
        return not self.may(None, "operator")

    def role_for(self, thing: str | None) -> Role:
        """Return the role for a Thing; None: for a resource that belongs to no Thing."""
        return self.role if thing is None else self.things.get(thing, self.role)

    def may(self, thing: str | None, role: Role) -> bool:
        """Return True if the actor's role for the Thing is `role` or higher."""
        return _RANK[self.role_for(thing)] >= _RANK[role]


def required_role(method: str) -> Role:
    """Return the role that an HTTP method requires: reading viewer, everything else operator."""
    return "viewer" if method in ("GET", "HEAD", "OPTIONS") else "operator"
