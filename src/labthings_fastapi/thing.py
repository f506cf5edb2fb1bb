"""The base class of everything that a server offers."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from labthings_fastapi.actions.context import current_invocation
from labthings_fastapi.actions.logs import THINGS_LOGGER
from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.descriptors.base import BaseDescriptor, descriptors_of
from labthings_fastapi.descriptors.endpoint import EndpointDescriptor
from labthings_fastapi.descriptors.event import Event, EventDescriptor
from labthings_fastapi.descriptors.info import AffordanceMap, PropertyInfo
from labthings_fastapi.descriptors.property import BaseProperty
from labthings_fastapi.descriptors.setting import Setting
from labthings_fastapi.descriptors.slot import ThingSlot
from labthings_fastapi.exceptions import AffordanceDefinitionError, describe_exception
from labthings_fastapi.schemas.docstrings import summary
from labthings_fastapi.thing_description.describe import describe
from labthings_fastapi.thing_description.paths import RESERVED_AFFORDANCES
from labthings_fastapi.thing_host.interface import ThingServerInterface, interface_without_server
from labthings_fastapi.thing_host.settings import SettingsFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labthings_fastapi.thing_description.model import ThingDescription


class ThingClassSettings(TypedDict, total=False):
    """How a class of Thing behaves; assigned to `_class_settings`."""

    validate_properties_on_set: bool
    """Whether values set from Python are checked, as those from clients always are; True."""


class Thing:
    """A piece of hardware, or of software, with properties, actions and events.

    Subclass it, and declare what clients may use with `lt.property`, `lt.action` and their like.
    Define `__enter__` and `__exit__` to open and close the hardware: a server calls them in worker
    threads when it starts and stops.
    """

    title: str
    """What people call it; by default the first line of the docstring, or the class's name."""

    _affordances: ClassVar[Mapping[str, BaseDescriptor]] = {}

    properties = AffordanceMap(BaseProperty, PropertyInfo)
    """Name → property, on the class and on an instance."""

    settings = AffordanceMap(Setting, PropertyInfo)
    """Name → setting: the properties that are saved."""

    actions = AffordanceMap(ActionDescriptor)
    """Name → action, on the class and on an instance."""

    events = AffordanceMap(EventDescriptor, Event)
    """Name → event, on the class and on an instance."""

    _class_settings: ClassVar[ThingClassSettings] = {}
    """How the class behaves: `validate_properties_on_set`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Check every affordance, so that mistakes show when the class is made."""
        super().__init_subclass__(**kwargs)
        if "title" not in vars(cls):
            cls.title = summary(vars(cls).get("__doc__")) or cls.__name__
        caller = inspect.currentframe()
        around = caller.f_back if caller is not None else None
        namespace = (
            dict(around.f_locals) if around is not None and "<locals>" in cls.__qualname__ else {}
        )
        found = dict(descriptors_of(cls))
        for name, descriptor in found.items():
            # A base that is no Thing has not checked what it brings along.
            if not descriptor.checked:
                descriptor.check(namespace)
            if name in RESERVED_AFFORDANCES and not isinstance(descriptor, ThingSlot):
                raise AffordanceDefinitionError(
                    f"{cls.__name__}.{name}: the name {name!r} is used by the server itself. "
                    "Give this affordance another name."
                )
        cls._affordances = found
        _check_paths(cls)
        unknown = sorted(cls._class_settings.keys() - ThingClassSettings.__annotations__.keys())
        if unknown:
            raise AffordanceDefinitionError(
                f"{cls.__name__}._class_settings has no setting {unknown[0]!r}; there is: "
                f"{', '.join(ThingClassSettings.__annotations__)}."
            )

    def __init__(self, thing_server_interface: ThingServerInterface | None = None) -> None:
        """Live in the given house; without one, in an empty one."""
        if thing_server_interface is not None:
            self._thing_server_interface = thing_server_interface

    @property
    def _thing_server_interface(self) -> ThingServerInterface:
        # Looked up, and not set in `__init__`, for subclasses that do not call it.
        found: ThingServerInterface | None = self.__dict__.get("_thing_server_interface")
        if found is None:
            made = interface_without_server(type(self).__name__)
            found = self.__dict__.setdefault("_thing_server_interface", made)
            assert found is not None  # noqa: S101 - for type checkers
        return found

    @_thing_server_interface.setter
    def _thing_server_interface(self, value: ThingServerInterface) -> None:
        value.settings_file_name = f"Settings-{type(self).__name__}.json"
        self.__dict__["_thing_server_interface"] = value
        self.__dict__.pop("_settings_file", None)

    @property
    def name(self) -> str:
        """The name on the server; without one, the name of the class."""
        return self._thing_server_interface.name

    @property
    def path(self) -> str:
        """The path in URLs, with a slash at both ends."""
        return self._thing_server_interface.path

    @property
    def logger(self) -> logging.Logger:
        """Where this Thing logs; records logged in a run belong to that run."""
        return logging.getLogger(f"{THINGS_LOGGER}.{self.name}")

    @property
    def _settings_file(self) -> SettingsFile | None:
        found: SettingsFile | None = self.__dict__.get("_settings_file")
        house = self._thing_server_interface
        path = house.settings_file_path
        if found is None and path is not None:
            found = self.__dict__.setdefault(
                "_settings_file", SettingsFile(path, self.logger, house.claim_folder)
            )
        return found

    def load_settings(self) -> None:
        """Give the settings the values in their file; a bad value costs only itself.

        The server calls this after `__init__` and before `__enter__`.
        """
        file = self._settings_file
        if file is None:
            return
        for name, saved in file.load().items():
            info = self.settings.get(name)
            if info is None:
                continue
            try:
                info.descriptor.restore(self, saved)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - setters are user code
                self.logger.warning(
                    "Setting %r keeps its default: the value %r in %s is not valid: %s",
                    name,
                    saved,
                    file.path,
                    describe_exception(error),
                )

    def save_settings(self) -> None:
        """Write all settings to their file; each is also saved whenever it is set.

        Raises:
            SettingsWriteError: the file is as it was.
        """
        file = self._settings_file
        if file is None:
            return
        if not file.loaded:
            file.load()  # for the keys that nobody knows
        settings = self.settings.items()
        file.save_latest(
            lambda: {name: info.descriptor.saved_form(self) for name, info in settings}
        )

    @property
    def thing_state(self) -> Mapping[str, Any]:
        """Metadata that describes the Thing now, to go with data; override it."""
        return {}

    @property
    def property_descriptors(self) -> Mapping[str, BaseProperty[Any]]:
        """The declarations of the properties, by name."""
        return type(self).properties

    @property
    def action_descriptors(self) -> Mapping[str, ActionDescriptor[Any, Any, Any]]:
        """The declarations of the actions, by name."""
        return type(self).actions

    @property
    def event_descriptors(self) -> Mapping[str, EventDescriptor]:
        """The declarations of the events, by name."""
        return type(self).events

    def thing_description(
        self, path: str | None = None, base: str | None = None
    ) -> ThingDescription:
        """Return the Thing Description as a checked model; see `thing_description_dict`."""
        from labthings_fastapi.thing_description.validation import parse

        return parse(self.thing_description_dict(path, base))

    def validate_thing_description(self) -> None:
        """Check the Thing Description against the W3C standard.

        Raises:
            ThingDescriptionError: listing every violation by its path.
        """
        from labthings_fastapi.thing_description.validation import validate

        validate(self.thing_description_dict())

    def thing_description_dict(
        self, path: str | None = None, base: str | None = None
    ) -> dict[str, Any]:
        """Return the Thing Description (W3C TD 1.1) for a client that reaches the server at `base`.

        `path` is where the Thing is served, by default its own; without a base, hrefs are relative.
        """
        server_id = self._thing_server_interface.server_id
        return describe(
            self,
            base=(base or "").rstrip("/"),
            path=path,
            server_id=server_id,
            schemes=self._thing_server_interface.security_schemes,
        )

    def get_current_invocation_logs(self) -> list[logging.LogRecord]:
        """Return what the run that this code belongs to has logged so far; empty outside a run."""
        run = current_invocation()
        return run.log.records if run is not None and run.log is not None else []


def _check_paths(cls: type[Thing]) -> None:
    """Refuse an endpoint whose requests something else would answer."""
    taken: dict[str, BaseDescriptor] = {
        name: found
        for name, found in cls._affordances.items()
        if not isinstance(found, (ThingSlot, EndpointDescriptor))
    }
    routes: dict[tuple[str, str], str] = {}
    for name, endpoint in endpoints_of(cls).items():
        path = endpoint.path.strip("/")
        first, _, rest = path.partition("/")
        other = taken.get(first)
        if not path or path in RESERVED_AFFORDANCES:
            reason = "is used by the server itself"
        elif other is not None and (not rest or isinstance(other, ActionDescriptor)):
            reason = f"belongs to {other.kind} {first!r}"
        elif other is not None and rest == "reset" and isinstance(other, BaseProperty):
            reason = f"is where {other.kind} {first!r} is reset"
        elif (endpoint.http_method, path) in routes:
            reason = f"belongs to endpoint {routes[endpoint.http_method, path]!r}"
        else:
            routes[endpoint.http_method, path] = name
            continue
        raise AffordanceDefinitionError(
            f"{endpoint.where}: its path {endpoint.path!r} {reason}. "
            "Give the endpoint another path."
        )


def slots_of(cls: type[Thing]) -> dict[str, ThingSlot[Any]]:
    """Return the slots of a class by name."""
    return {name: found for name, found in cls._affordances.items() if isinstance(found, ThingSlot)}


def endpoints_of(cls: type[Thing]) -> dict[str, EndpointDescriptor]:
    """Return the endpoints of a class by name."""
    return {
        name: found
        for name, found in cls._affordances.items()
        if isinstance(found, EndpointDescriptor)
    }
