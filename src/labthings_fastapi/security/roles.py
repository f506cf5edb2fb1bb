"""What an actor may do; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["viewer", "operator", "admin"]
"""`viewer` reads and follows; `operator` also writes and moves; `admin` may do all there is."""

ROLES: tuple[Role, ...] = get_args(Role)
_RANK = {role: rank for rank, role in enumerate(ROLES)}


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody, or some program, that has shown who it is."""

    name: str
    role: Role
    things: Mapping[str, Role] = field(default_factory=dict)
    """Roles that hold for single Things in place of the general one."""
    credential: str = field(default="", repr=False)
    """The hash of what was shown: a new token of the same name is somebody else."""

    def role_for(self, thing: str | None) -> Role:
        """Return the role for a Thing, or for what belongs to none."""
        return self.role if thing is None else self.things.get(thing, self.role)

    def may(self, thing: str | None, role: Role) -> bool:
        """Whether the actor may do what needs `role`."""
        return _RANK[self.role_for(thing)] >= _RANK[role]


def needed_role(method: str) -> Role:
    """Return what a request needs: reading is for viewers, everything else for operators."""
    return "viewer" if method in ("GET", "HEAD", "OPTIONS") else "operator"
