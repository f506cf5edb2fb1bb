"""Declare the affordances of a Thing: `lt.property`, `lt.action`, `lt.event` and others."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.descriptors.data_property import MISSING, DataProperty
from labthings_fastapi.descriptors.endpoint import EndpointDescriptor
from labthings_fastapi.descriptors.event import EventDescriptor
from labthings_fastapi.descriptors.functional_property import FunctionalProperty
from labthings_fastapi.descriptors.setting import DataSetting, FunctionalSetting
from labthings_fastapi.descriptors.slot import UNSET, ThingSlot
from labthings_fastapi.exceptions import (
    DeclarationTypeError,
    MissingDefaultError,
    OverspecifiedDefaultError,
)
from labthings_fastapi.schemas.constraints import CONSTRAINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labthings_fastapi.descriptors.action import Concurrency
    from labthings_fastapi.descriptors.endpoint import Method

OwnerT = TypeVar("OwnerT")
P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")


@overload
def action(func: Callable[Concatenate[OwnerT, P], R], /) -> ActionDescriptor[OwnerT, P, R]: ...


@overload
def action(func: Callable[..., R], /) -> ActionDescriptor[Any, ..., R]: ...


@overload
def action(
    *,
    response_timeout: float = 1,
    retention_time: float = 300,
    use_global_lock: bool | None = None,
    synchronous: bool = False,
    concurrency: Concurrency = "parallel",
    group: str | None = None,
    timeout: float | None = None,
    safe: bool = False,
    idempotent: bool = False,
    stop: bool = False,
    on_cancel: str | None = None,
    title: str | None = None,
) -> Callable[[Callable[Concatenate[OwnerT, P], R]], ActionDescriptor[OwnerT, P, R]]: ...


def action(
    func: Callable[..., Any] | None = None,
    /,
    *,
    response_timeout: float = 1,
    retention_time: float = 300,
    use_global_lock: bool | None = None,
    synchronous: bool = False,
    concurrency: Concurrency = "parallel",
    group: str | None = None,
    timeout: float | None = None,
    safe: bool = False,
    idempotent: bool = False,
    stop: bool = False,
    on_cancel: str | None = None,
    title: str | None = None,
) -> Any:
    """Declare that clients can run this method.

    Python code calls the method as usual. Each call by a client is an invocation, which runs in a
    thread of its own. The parameters and their type hints become the input, the return hint
    becomes the output, and the docstring describes both. Write `@lt.action` without options, or
    for example::

        @lt.action(concurrency="queue", group="motion", title="Move")
        def move_to(self, x: float) -> None: ...

    Args:
        func: the method. With options, write `@lt.action(...)` above it.
        response_timeout: how long (s) the answer to a POST with `Prefer: wait` waits for the
            output; 1 by default. Example: `response_timeout=5`.
        retention_time: how long (s) a finished invocation is kept in memory; 300 by default. The
            journal keeps it for longer. Example: `retention_time=3600`.
        use_global_lock: False lets the action run while another one holds the server's global
            lock. None (the default) and True: the action needs the lock, if the server has one.
            Example: `use_global_lock=False`.
        synchronous: True makes the POST wait for the end and answer with the output alone; False
            (the default) makes it answer at once with the invocation. For actions that take less
            than about a second. Example: `synchronous=True`.
        concurrency: what happens to a new invocation while another one of the same group is in
            progress. `"parallel"` (the default): both run. `"queue"`: the new one waits.
            `"reject"`: the new one is refused (409). `"replace"`: the one in progress is
            cancelled, then the new one runs. Example: `concurrency="queue"`.
        group: actions of a Thing with the same group share its `concurrency`: only one of them
            runs at a time. None (the default): the action is a group of its own.
            Example: `group="motion"`.
        timeout: the longest time (s) for which an invocation may run. After that it is asked to
            stop, as by a client's cancel, and ends as `cancelled` with a problem of type
            `timed-out`. None (the default): no limit. Example: `timeout=60`.
        safe: True declares that the action changes nothing (W3C TD 1.1, section 5.3.1.4); False
            by default. Example: `safe=True`.
        idempotent: True declares that a second run with the same input changes nothing more
            (W3C TD 1.1, section 5.3.1.4); False by default. Example: `idempotent=True`.
        stop: True marks an emergency stop, which waits for no lock, group, queue or limit; False
            by default. Example: `stop=True`.
        on_cancel: the name of a method without parameters that runs after the action was
            cancelled or has failed, for example to switch off a heater; None by default.
            Example: `on_cancel="heater_off"`.
        title: a short text for people. None (the default): the first line of the docstring.
            Example: `title="Move the stage"`.

    Raises:
        AffordanceDefinitionError: it is no plain method, a parameter has no name (`*args`, or
            positional-only), or an option has an impossible value. When a server is made: a type
            has no JSON form, or `on_cancel` is no method.
    """

    def decorate(func: Callable[..., Any]) -> Any:
        return ActionDescriptor(
            func,
            response_timeout,
            retention_time,
            use_global_lock=use_global_lock,
            synchronous=synchronous,
            concurrency=concurrency,
            group=group,
            timeout=timeout,
            safe=safe,
            idempotent=idempotent,
            stop=stop,
            on_cancel=on_cancel,
            title=title,
        )

    return decorate if func is None else decorate(func)


class PropertyOptions(TypedDict, total=False):
    """The options of `lt.property` and `lt.setting`; those from `gt` on are constraints."""

    readonly: bool
    use_global_lock: bool | None
    observable: bool | float | None
    shared: bool
    unit: str | None
    title: str | None
    description: str | None
    gt: Any
    ge: Any
    lt: Any
    le: Any
    multiple_of: Any
    allow_inf_nan: bool
    min_length: int
    max_length: int
    pattern: str


@overload
def property(getter: Callable[[OwnerT], V]) -> FunctionalProperty[OwnerT, V]: ...


@overload
def property(*, default: V, **options: Unpack[PropertyOptions]) -> V: ...


@overload
def property(*, default_factory: Callable[[], V], **options: Unpack[PropertyOptions]) -> V: ...


@overload
def property(
    **options: Unpack[PropertyOptions],
) -> Callable[[Callable[[OwnerT], V]], FunctionalProperty[OwnerT, V]]: ...


def property(
    getter: Callable[..., Any] | None = None,
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | None = None,
    **options: Unpack[PropertyOptions],
) -> Any:
    """Declare that clients can read, and perhaps write, a value.

    On an attribute with a type hint the Thing keeps the value, and any thread may read and set
    it. On a method, the method computes the value, or reads it from the hardware::

        speed: float = lt.property(default=1.0, gt=0, unit="mm/s")

        @lt.property(unit="mm")
        def position(self) -> float: ...

        @position.setter
        def _set_position(self, value: float) -> None: ...

    An invalid value is refused, and nothing changes.

    Args:
        getter: the method that returns the value; its return hint is the type.
        default: the value at first, for an attribute with a type hint. Example: `default=1.0`.
        default_factory: a function without parameters that makes the value at first; use it in
            place of `default` for a list or a dict. Example: `default_factory=list`.
        readonly: True lets only the Thing's own code set the value; False by default. A getter
            without a setter is always read-only. Example: `readonly=True`.
        use_global_lock: False lets clients set the value while an action holds the server's global
            lock. None (the default) and True: a set needs the lock, if the server has one.
            Reading never needs it. Example: `use_global_lock=False`.
        observable: whether clients can follow changes. None (the default): yes for an attribute,
            no for a getter. True on a getter: each set is published, and code may call
            `self.properties["x"].publish()`. A number on a getter: the server reads the value at
            that interval (s). Example: `observable=0.5`.
        shared: whether one call of the getter may answer several clients who ask at the same time;
            True by default: the instrument is asked once. No answer is older than its request.
            False: one call for each request. Example: `shared=False`.
        unit: the unit of the numbers in the value; None by default. Programs too understand a term
            of a vocabulary, such as `"om:millimetre"`. Example: `unit="mm/s"`.
        title: a short text for people. None (the default): the first line of the documentation.
            Example: `title="Speed"`.
        description: a longer text for people. None (the default): the docstring of the getter, or
            the string after the attribute. Example: `description="Speed of all axes."`.
        gt: a number or time is greater than this; no bound by default. Example: `gt=0`.
        ge: a number or time is this or greater; no bound by default. Example: `ge=0`.
        lt: a number or time is less than this; no bound by default. Example: `lt=360`.
        le: a number or time is this or less; no bound by default. Example: `le=100`.
        multiple_of: a number is a multiple of this; any by default. Example: `multiple_of=0.5`.
        allow_inf_nan: False refuses infinity and NaN; True by default. Use False where a value
            moves hardware. Example: `allow_inf_nan=False`.
        min_length: the least number of characters of a text, or items of a list; 0 by default.
            Example: `min_length=1`.
        max_length: the largest number of characters of a text, or items of a list; no bound by
            default. Example: `max_length=80`.
        pattern: a regular expression that must match somewhere in a text; none by default.
            Example: `pattern="^[A-Z]+$"`.

    Raises:
        AffordanceDefinitionError: here or when the class is made: an option is unknown, a
            constraint does not fit the type, the type hint or the default is missing, or a
            getter cannot be called. When a server is made: the type has no JSON form.
    """
    return _property_descriptor(
        "lt.property", DataProperty, FunctionalProperty, getter, default, default_factory, options
    )


@overload
def setting(getter: Callable[[OwnerT], V]) -> FunctionalSetting[OwnerT, V]: ...


@overload
def setting(*, default: V, **options: Unpack[PropertyOptions]) -> V: ...


@overload
def setting(*, default_factory: Callable[[], V], **options: Unpack[PropertyOptions]) -> V: ...


@overload
def setting(
    **options: Unpack[PropertyOptions],
) -> Callable[[Callable[[OwnerT], V]], FunctionalSetting[OwnerT, V]]: ...


def setting(
    getter: Callable[..., Any] | None = None,
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | None = None,
    **options: Unpack[PropertyOptions],
) -> Any:
    """Declare a property that is saved when it is set, and restored when the server starts.

    The file is written before the new value can be seen. If it cannot be written, the value stays
    as it was, and the set raises `SettingsWriteError`. The options are those of `lt.property`::

        backlash: int = lt.setting(default=10, ge=0, unit="steps")

    A list or a dictionary that code changes in place is saved with the next set, and within about a
    second while a server runs. Setters are called with the saved values before `__enter__` and
    again after it. The class is refused if values of the type cannot be read back, such as secrets.

    Args:
        getter: the method that returns the value; its return hint is the type.
        default: the value at first, for an attribute with a type hint. Example: `default=1.0`.
        default_factory: a function without parameters that makes the value at first; use it in
            place of `default` for a list or a dict. Example: `default_factory=list`.
        readonly: True lets only the Thing's own code set the value; False by default. A getter
            without a setter is always read-only. Example: `readonly=True`.
        use_global_lock: False lets clients set the value while an action holds the server's global
            lock. None (the default) and True: a set needs the lock, if the server has one.
            Reading never needs it. Example: `use_global_lock=False`.
        observable: whether clients can follow changes. None (the default): yes for an attribute,
            no for a getter. True on a getter: each set is published, and code may call
            `self.properties["x"].publish()`. A number on a getter: the server reads the value at
            that interval (s). Example: `observable=0.5`.
        shared: whether one call of the getter may answer several clients who ask at the same time;
            True by default: the instrument is asked once. No answer is older than its request.
            False: one call for each request. Example: `shared=False`.
        unit: the unit of the numbers in the value; None by default. Programs too understand a term
            of a vocabulary, such as `"om:millimetre"`. Example: `unit="mm/s"`.
        title: a short text for people. None (the default): the first line of the documentation.
            Example: `title="Speed"`.
        description: a longer text for people. None (the default): the docstring of the getter, or
            the string after the attribute. Example: `description="Speed of all axes."`.
        gt: a number or time is greater than this; no bound by default. Example: `gt=0`.
        ge: a number or time is this or greater; no bound by default. Example: `ge=0`.
        lt: a number or time is less than this; no bound by default. Example: `lt=360`.
        le: a number or time is this or less; no bound by default. Example: `le=100`.
        multiple_of: a number is a multiple of this; any by default. Example: `multiple_of=0.5`.
        allow_inf_nan: False refuses infinity and NaN; True by default. Use False where a value
            moves hardware. Example: `allow_inf_nan=False`.
        min_length: the least number of characters of a text, or items of a list; 0 by default.
            Example: `min_length=1`.
        max_length: the largest number of characters of a text, or items of a list; no bound by
            default. Example: `max_length=80`.
        pattern: a regular expression that must match somewhere in a text; none by default.
            Example: `pattern="^[A-Z]+$"`.

    Raises:
        AffordanceDefinitionError: here or when the class is made: an option is unknown, a
            constraint does not fit the type, the type hint or the default is missing, or a
            getter cannot be called. When a server is made: the type has no JSON form.
    """
    return _property_descriptor(
        "lt.setting", DataSetting, FunctionalSetting, getter, default, default_factory, options
    )


def _property_descriptor(
    decorator: str,
    data: type[DataProperty[Any]],
    functional: type[FunctionalProperty[Any, Any]],
    getter: Callable[..., Any] | None,
    default: Any,
    default_factory: Callable[[], Any] | None,
    options: PropertyOptions,
) -> Any:
    known = PropertyOptions.__annotations__.keys()
    unknown = sorted(options.keys() - known)
    if unknown:
        raise DeclarationTypeError(
            f"{decorator} has no option {unknown[0]!r}. Options are: default, default_factory, "
            f"{', '.join(known)}."
        )
    arguments: dict[str, Any] = {"constraints": {}}
    for name, value in options.items():
        group = arguments["constraints"] if name in CONSTRAINTS else arguments
        group[name] = value
    if getter is not None:
        _check_getter(decorator, getter, default is not MISSING or default_factory is not None)
        return functional(getter, **arguments)
    if default is not MISSING or default_factory is not None:
        return data(default, default_factory=default_factory, **arguments)
    return _GetterDecorator(data, functional, arguments)


def _check_getter(decorator: str, getter: Any, has_default: bool) -> None:
    if not callable(getter) and not hasattr(getter, "__get__"):
        raise MissingDefaultError(
            f"{decorator}({getter!r}): the positional argument is a getter, and this is no "
            f"function. For a default value, write `{decorator}(default={getter!r})`."
        )
    if has_default:
        name = getattr(getter, "__qualname__", repr(getter))
        raise OverspecifiedDefaultError(
            f"{decorator}: {name} is a getter, so the value needs no `default` and no "
            "`default_factory`. For a value that a reset sets, assign `<name>.default = …` in the "
            "body of the class."
        )


class _GetterDecorator:
    """The result of `lt.property(unit=…)`, without a default: it decorates a getter."""

    def __init__(
        self,
        data: type[DataProperty[Any]],
        functional: type[FunctionalProperty[Any, Any]],
        arguments: dict[str, Any],
    ) -> None:
        self._data = data
        self._functional = functional
        self._arguments = arguments

    def __call__(self, getter: Callable[[Any], Any]) -> FunctionalProperty[Any, Any]:
        return self._functional(getter, **self._arguments)

    def __set_name__(self, owner: type, name: str) -> None:
        # Assigned to an attribute, this is a data property without a default. Its own check
        # reports that when the class is made.
        descriptor = self._data(**self._arguments)
        setattr(owner, name, descriptor)
        descriptor.__set_name__(owner, name)


def event(
    title: str | None = None, description: str | None = None, *, unit: str | None = None
) -> Any:
    """Declare an event that the Thing can emit; the type hint is the type of its data.

    Clients and other Things can subscribe. `emit` may be called from any thread::

        overheated: lt.Event[float] = lt.event(title="Overheated")

        self.overheated.emit(81.5)

    Args:
        title: a short text for people. None (the default): the first line of the string after the
            attribute. Example: `title="Overheated"`.
        description: a longer text for people. None (the default): the whole string after the
            attribute. Example: `description="The laser is above 80 °C."`.
        unit: the unit of the numbers in the data; None by default. Example: `unit="om:kelvin"`.

    Raises:
        AffordanceDefinitionError: when the class is made: the type hint is missing, or it has no
            JSON form.
    """
    return EventDescriptor(title, description, unit)


def thing_slot(default: str | Iterable[str] | None = UNSET) -> Any:
    """Declare that this Thing uses another Thing; the server fills the slot when it is built.

    The type hint determines which class fits: `Stage` (required), `Stage | None` (optional) or
    `Mapping[str, Stage]` (any number, by name)::

        stage: Stage = lt.thing_slot()

    Args:
        default: the name of the Thing, or several names for a mapping. Not set: the server takes
            the only Thing that fits, or all that fit for a mapping. None: the slot stays empty.
            `thing_slots` in the configuration comes before the default.
            Example: `lt.thing_slot("stage")`.

    Raises:
        AffordanceDefinitionError: when the class is made: the type hint is missing.
        ThingSlotError: when the server is built: a name is unknown, or no Thing or several fit.
        ThingNotConnectedError: when the slot is read before it was filled.
    """
    return ThingSlot(default)


def endpoint(
    method: Method, path: str | None = None, **kwargs: Any
) -> Callable[[Callable[..., Any]], EndpointDescriptor]:
    """Declare a plain FastAPI route under the Thing's path, outside the Thing Description.

    An `async` function runs on the server's event loop and must not block; any other function
    runs in a worker thread::

        @lt.endpoint("get", "snapshot.jpg", response_class=Response)
        def snapshot(self) -> Response: ...

    Args:
        method: the HTTP method: `"get"`, `"post"`, `"put"` or `"delete"`. Example: `"get"`.
        path: the path below the Thing. None (the default): the name of the function.
            Example: `path="snapshot.jpg"`.
        kwargs: options of FastAPI's path operations; none by default. Example: `status_code=202`.

    Raises:
        AffordanceDefinitionError: the method is none of these, or, when the class is made, the
            path belongs to another affordance.
    """

    def decorate(func: Callable[..., Any]) -> EndpointDescriptor:
        return EndpointDescriptor(func, method, path, **kwargs)

    return decorate


# Names of older code.
thing_action = action
thing_property = property
fastapi_endpoint = endpoint
