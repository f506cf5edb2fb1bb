"""What can be asked of a server: its Things, and what its configuration says."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from labthings_fastapi.exceptions import NotOneThingError, ThingNotFoundError
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description import paths

from .thing_hooks import states_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .config_model import ThingServerConfig

T = TypeVar("T", bound=Thing)


class ServedThings:
    """The part of a `ThingServer` that only reads; any thread may use it."""

    config: ThingServerConfig
    _things: dict[str, Thing]  # of a running server: replaced, never changed

    @property
    def settings_folder(self) -> str:
        """The folder with the settings of all Things, the journal and the credentials."""
        return str(self.config.settings_folder)

    @property
    def application_config(self) -> Mapping[str, Any] | None:
        """The `application_config` of the configuration, for the laboratory's own code."""
        return self.config.application_config

    @property
    def api_prefix(self) -> str:
        """The beginning of every path of the server, as in `/api`; empty by default."""
        return self.config.api_prefix

    @property
    def things(self) -> Mapping[str, Thing]:
        """The Things by name."""
        return MappingProxyType(self._things)

    def things_by_class(self, cls: type[T]) -> list[T]:
        """Return the Things of a class, or of one derived from it."""
        return [thing for thing in self._things.values() if isinstance(thing, cls)]

    def thing_by_class(self, cls: type[T]) -> T:
        """Return the only Thing of a class.

        Raises:
            NotOneThingError: there is none, or there are several.
        """
        things = self.things_by_class(cls)
        if len(things) != 1:
            names = ", ".join(paths.name_of(thing) for thing in things) or "none"
            raise NotOneThingError(
                f"There must be exactly one {cls.__name__}, but there are {len(things)}: {names}."
            )
        return things[0]

    def path_for_thing(self, name: str) -> str:
        """Return the path of a Thing, as in `/api/stage/`.

        Raises:
            ThingNotFoundError: there is no Thing with this name.
        """
        if name not in self._things:
            names = ", ".join(self._things) or "none"
            raise ThingNotFoundError(f"There is no Thing {name!r}. The Things are: {names}.")
        return paths.path_of(self._things[name])

    def thing_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the metadata of every Thing, by name; empty for one whose code fails."""
        return states_of(self._things)
