"""The base class of all Things."""

from __future__ import annotations

import inspect
import warnings
from abc import ABCMeta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from labthings_fastapi.actions.context import current_invocation
from labthings_fastapi.actions.logs import get_thing_logger
from labthings_fastapi.concurrency.things_loop import pass_loop_on
from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.descriptors.base import BaseDescriptor, descriptors_of
from labthings_fastapi.descriptors.declarations import check_declarations
from labthings_fastapi.descriptors.endpoint import EndpointDescriptor
from labthings_fastapi.descriptors.event import Event, EventDescriptor
from labthings_fastapi.descriptors.info import (
    ActionInfo,
    AffordanceMap,
    PropertyCollection,
    PropertyInfo,
    SettingCollection,
    SettingInfo,
)
from labthings_fastapi.descriptors.kept_settings import KeptSettings
from labthings_fastapi.descriptors.property import BaseProperty
from labthings_fastapi.descriptors.setting import Setting
from labthings_fastapi.descriptors.slot import ThingSlot
from labthings_fastapi.exceptions import DeclarationTypeError, NoInvocationContextError
from labthings_fastapi.outputs.frame_stream import stream_descriptors
from labthings_fastapi.thing_class_settings import (
    ThingClassSettings,
    validate_thing_class_settings,
)
from labthings_fastapi.thing_description.class_facts import semantic_types
from labthings_fastapi.thing_description.describe import describe
from labthings_fastapi.thing_description.paths import (
    RESERVED_AFFORDANCES,
    SHARED_AFFORDANCES,
    name_of,
)
from labthings_fastapi.thing_host.access import declare_access, give_access
from labthings_fastapi.thing_host.interface import ThingServerInterface, interface_without_server
from labthings_fastapi.thing_host.settings import SettingsFile

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from labthings_fastapi.thing_description.model import ThingDescription


class _ClassName:
    """The title of a Thing that has no other."""

    def __get__(self, obj: object, owner: type) -> str:
        return owner.__name__


PROPERTIES = AffordanceMap(BaseProperty, PropertyInfo, PropertyCollection)
SETTINGS = AffordanceMap(Setting, SettingInfo, SettingCollection)
ACTIONS = AffordanceMap(ActionDescriptor, ActionInfo)
EVENTS = AffordanceMap(EventDescriptor, Event)


class Thing:
    """An instrument or a piece of software with properties, actions and events.

    Subclass it, and declare what clients can use::

        class Stage(lt.Thing):
            speed: float = lt.property(default=1.0, gt=0, unit="mm/s")

            @lt.action
            def move(self, distance: float) -> None: ...

    Define `__enter__` and `__exit__` to open and close the hardware. Both may be `async`. A server
    calls them in worker threads when it starts and stops, also several times. A Thing also works
    without a server, for example in a notebook: `Stage().move(3)`.

    Clients call actions and getters from many threads at the same time: a position can be read
    while the stage moves. Where the driver cannot do that, say so in the class:

    - `class Meter(lt.Thing, exclusive=True)`: getters, writes and actions run one at a time. Use
      it for a driver that writes a question and reads the answer, so that answers never mix up.
      A client that waits longer than 5 s for a value is told which invocation has the Thing.
    - `class Camera(lt.Thing, thread="own")`: the same, and all code runs in one thread of the
      Thing, `__enter__` and `__exit__` included. Use it for a driver that works only in the thread
      that opened it. No method may be `async`.

    Emergency stops (`@lt.action(stop=True)`) wait for neither. `lt.hold` keeps a Thing over several
    steps.

    A Thing whose instrument failed or was unplugged is opened again without a restart of the
    server by `POST /<thing>/reopen`, or `server.reopen(name)`: `__exit__`, then `__enter__`. With
    `class Camera(lt.Thing, reopen="auto")` the server does that by itself, after an opening or a
    reading has failed, with longer and longer pauses (1 s to 60 s), and also starts without it.

    Subclasses inherit these keywords, and a server's configuration may set each for one Thing.
    """

    title: str = _ClassName()  # type: ignore[assignment]
    """A name for people; by default the name of the class."""

    semantic_type: ClassVar[str | Sequence[str] | None] = None
    """What it is in vocabularies of others, as `"saref:Sensor"`: one or more types for `@type`."""

    _semantic_types: ClassVar[tuple[str, ...]] = ()

    _affordances: ClassVar[Mapping[str, BaseDescriptor]] = {}

    _inherited: ClassVar[dict[str, BaseDescriptor]] = {}
    """The affordances of base classes as this class sees them: `BaseDescriptor.seen_from`."""

    _remarks: ClassVar[tuple[str, ...]] = ()
    """What the declarations of this class probably mean otherwise."""

    properties = PROPERTIES
    """Name → property, on the class and on an instance."""

    settings = SETTINGS
    """Name → setting (a property that is saved), on the class and on an instance."""

    actions = ACTIONS
    """Name → action, on the class and on an instance."""

    events = EVENTS
    """Name → event, on the class and on an instance."""

    _class_settings: ClassVar[ThingClassSettings] = {}
    """Options of the class; see `ThingClassSettings`. An unknown key is an error."""

    _exclusive: ClassVar[bool] = False
    _own_thread: ClassVar[bool] = False
    _labthings_reopen: Literal["manual", "auto"] = "manual"

    def __init_subclass__(
        cls,
        *,
        exclusive: bool | None = None,
        thread: Literal["own"] | None = None,
        reopen: Literal["manual", "auto"] | None = None,
        **kwargs: Any,
    ) -> None:
        """Check every affordance, so that a wrong declaration fails when the class is made."""
        super().__init_subclass__(**kwargs)
        declare_access(cls, exclusive=exclusive, thread=thread, reopen=reopen)
        frame = _class_statement()
        # Type hints of a class in a function may use local names of that function.
        is_local = frame is not None and "<locals>" in cls.__qualname__
        namespace = dict(frame.f_locals) if frame is not None and is_local else {}
        cls._inherited = {}
        cls._remarks = check_declarations(cls, Thing, namespace)
        cls._find_affordances()
        if not isinstance(cls, ABCMeta):  # which does the same
            missing = [name for name, each in cls._affordances.items() if each.__isabstractmethod__]
            if missing:
                cls.__abstractmethods__ = frozenset(missing)  # type: ignore[attr-defined]
        if "semantic_type" not in cls._affordances:
            cls._semantic_types = semantic_types(cls)
        _check_paths(cls)
        validate_thing_class_settings(cls)
        if frame is not None:
            for text in cls._remarks:
                place = frame.f_code.co_filename, frame.f_lineno
                warnings.warn_explicit(text, UserWarning, *place, frame.f_globals.get("__name__"))

    @classmethod
    def _find_affordances(cls) -> None:
        """List the affordances of this class and of those that inherit from it."""
        cls._affordances = dict(descriptors_of(cls))
        for subclass in cls.__subclasses__():
            subclass._find_affordances()

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Make a Thing, with a turn if its class says that one at a time uses it."""
        thing = super().__new__(cls)
        if cls._exclusive or cls._own_thread:
            give_access(thing, exclusive=cls._exclusive, own_thread=cls._own_thread)
        return thing

    def __init__(self, thing_server_interface: ThingServerInterface | None = None) -> None:
        """Attach to the server's interface; without one, use a standalone interface."""
        if thing_server_interface is not None:
            self._thing_server_interface = thing_server_interface

    @property
    def _thing_server_interface(self) -> ThingServerInterface:
        # Not set in `__init__`, because a subclass may not call `super().__init__()`.
        interface: ThingServerInterface | None = self.__dict__.get("_thing_server_interface")
        if interface is None:
            # `setdefault`: two threads may come here at the same time.
            standalone = interface_without_server(type(self).__name__)
            interface = self.__dict__.setdefault("_thing_server_interface", standalone)
            assert interface is not None  # noqa: S101 - for type checkers
        return interface

    @_thing_server_interface.setter
    def _thing_server_interface(self, value: ThingServerInterface) -> None:
        pass_loop_on(self.__dict__.get("_thing_server_interface"), value)
        value.settings_file_name = f"Settings-{type(self).__name__}.json"
        self.__dict__["_thing_server_interface"] = value
        self.__dict__.pop("_kept_settings", None)

    @property
    def name(self) -> str:
        """The name on the server; without a server, the name of the class."""
        return self._thing_server_interface.name

    @property
    def path(self) -> str:
        """The path in URLs, with a slash at both ends, as in `/stage/`."""
        return self._thing_server_interface.path

    @property
    def _own_title(self) -> str:
        if "title" in type(self)._affordances:
            return type(self).__name__
        return str(self.title)

    @property
    def logger(self) -> logging.Logger:
        """The logger `labthings_fastapi.things.<name>`.

        Records that are logged in an invocation belong to its log, which clients can read.
        """
        return get_thing_logger(name_of(self))

    @property
    def _kept_settings(self) -> KeptSettings | None:
        kept: KeptSettings | None = self.__dict__.get("_kept_settings")
        interface = self._thing_server_interface
        path = interface.settings_file_path
        if kept is None and path is not None and self._setting_descriptors:
            logger = get_thing_logger(name_of(self))
            file = SettingsFile(Path(path), logger, interface.claim_folder)
            kept = KeptSettings(file, self._setting_descriptors, logger)
            kept = self.__dict__.setdefault("_kept_settings", kept)
        return kept

    def load_settings(self) -> None:
        """Set the settings to the values in their file.

        A value that is invalid is logged, and this setting keeps its default. The server calls
        this method after `__init__` and before `__enter__`. It calls setters again with the values
        in the file after `__enter__`, because they may need the hardware.
        """
        kept = self._kept_settings
        if kept is not None:
            kept.load(self)

    def save_settings(self) -> None:
        """Write all settings to their file; each setting is also saved when it is set.

        Raises:
            SettingsWriteError: the file could not be written, and is as before.
        """
        kept = self._kept_settings
        if kept is not None:
            kept.save_all(self)

    @property
    def _setting_descriptors(self) -> Mapping[str, Setting[Any]]:
        return SETTINGS.descriptors(type(self))

    @property
    def thing_state(self) -> Mapping[str, Any]:
        """Metadata of the present state, to be stored with data; override it."""
        return {}

    @property
    def frame_streams(self) -> Mapping[str, str]:
        """The live streams by name, each with the media type of a frame."""
        found = stream_descriptors(type(self)).items()
        return {name: each.stream_class.media_type for name, each in found}

    @property
    def hidden_resources(self) -> frozenset[str]:
        """Those of `properties`, `actions`, `events` and `ws` whose path this Thing uses itself."""
        paths = {endpoint.path.strip("/") for endpoint in endpoints_of(type(self)).values()}
        return SHARED_AFFORDANCES & {*self._affordances, *paths}

    @property
    def property_descriptors(self) -> Mapping[str, BaseProperty[Any]]:
        """Name → descriptor of a property."""
        return PROPERTIES.descriptors(type(self))

    @property
    def action_descriptors(self) -> Mapping[str, ActionDescriptor[Any, Any, Any]]:
        """Name → descriptor of an action."""
        return ACTIONS.descriptors(type(self))

    @property
    def event_descriptors(self) -> Mapping[str, EventDescriptor]:
        """Name → descriptor of an event."""
        return EVENTS.descriptors(type(self))

    def thing_description(
        self, path: str | None = None, base: str | None = None
    ) -> ThingDescription:
        """Return the Thing Description as a model; see `thing_description_dict`."""
        from labthings_fastapi.thing_description.validation import parse

        return parse(self.thing_description_dict(path, base))

    def validate_thing_description(self) -> None:
        """Validate the Thing Description (W3C TD 1.1).

        Raises:
            ThingDescriptionError: with every violation and its path.
        """
        from labthings_fastapi.thing_description.validation import validate

        validate(self.thing_description_dict())

    def thing_description_dict(
        self, path: str | None = None, base: str | None = None
    ) -> dict[str, Any]:
        """Return the Thing Description (W3C TD 1.1).

        Args:
            path: the path of the Thing in URLs; by default its own.
            base: the URL of the server, as in "http://microscope.local:5000". Without it, the
                hrefs of forms are relative.
        """
        server_id = self._thing_server_interface.server_id
        return describe(
            self,
            base=(base or "").rstrip("/"),
            path=path,
            server_id=server_id,
            **self._thing_server_interface.description_options,
        )

    def get_current_invocation_logs(self) -> list[logging.LogRecord]:
        """Return the log records of the present invocation so far.

        Raises:
            NoInvocationContextError: this code does not run inside an action.
        """
        invocation = current_invocation()
        if invocation is None:
            raise NoInvocationContextError("log")
        return [] if invocation.log is None else list(invocation.log.records)


def _class_statement() -> FrameType | None:
    """Return the frame that makes a class: the first outside of `__init_subclass__` and `abc`."""
    frame = inspect.currentframe()
    while frame is not None and (
        frame.f_code.co_name in ("_class_statement", "__init_subclass__", "__new__")
    ):
        frame = frame.f_back
    return frame


def _check_paths(cls: type[Thing]) -> None:
    """Raise an error for an endpoint whose path belongs to another affordance or the server."""
    affordances: dict[str, BaseDescriptor] = {
        name: descriptor
        for name, descriptor in cls._affordances.items()
        if not isinstance(descriptor, (ThingSlot, EndpointDescriptor))
    }
    routes: dict[tuple[str, str], str] = {}
    for name, endpoint in endpoints_of(cls).items():
        path = endpoint.path.strip("/")
        first, _, rest = path.partition("/")
        other = affordances.get(first)
        if not path or path in RESERVED_AFFORDANCES - SHARED_AFFORDANCES:
            reason = "is used by the server itself"
        elif other is not None and (not rest or isinstance(other, ActionDescriptor)):
            reason = f"belongs to {other.kind} {first!r}"
        elif other is not None and rest == "reset" and isinstance(other, BaseProperty):
            reason = f"resets {other.kind} {first!r}"
        elif (endpoint.http_method, path) in routes:
            reason = f"belongs to endpoint {routes[endpoint.http_method, path]!r}"
        else:
            routes[endpoint.http_method, path] = name
            continue
        raise DeclarationTypeError(
            f"{endpoint.where}: its path {endpoint.path!r} {reason}. "
            "Give the endpoint another path."
        )


def slots_of(cls: type[Thing]) -> dict[str, ThingSlot[Any]]:
    """Return the slots of a class by name."""
    return {
        name: descriptor
        for name, descriptor in cls._affordances.items()
        if isinstance(descriptor, ThingSlot)
    }


def endpoints_of(cls: type[Thing]) -> dict[str, EndpointDescriptor]:
    """Return the endpoints of a class by name."""
    return {
        name: descriptor
        for name, descriptor in cls._affordances.items()
        if isinstance(descriptor, EndpointDescriptor)
    }
