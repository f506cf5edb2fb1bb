"""What the parts of the server need to know of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labthings_fastapi.bindings.http.http_binding import HttpBinding
    from labthings_fastapi.server.access.policy import AccessPolicy
    from labthings_fastapi.thing import Thing
    from labthings_fastapi.thing_description.protocols import FormWriter


class Wired(Protocol):
    """A `ThingServer`, as its own HTTP resources see it."""

    @property
    def things(self) -> Mapping[str, Thing]:
        """The Things by name."""

    @property
    def api_prefix(self) -> str:
        """What comes before every path."""

    @property
    def state(self) -> str:
        """stopped, starting, running or stopping."""

    @property
    def bindings(self) -> Sequence[FormWriter]:
        """In which protocols the Things are offered."""

    @property
    def http(self) -> HttpBinding:
        """The Things over HTTP."""

    @property
    def access(self) -> AccessPolicy:
        """Whom the server lets in."""

    def thing_health(self) -> dict[str, dict[str, str]]:
        """The class and the state of each Thing, by name."""
