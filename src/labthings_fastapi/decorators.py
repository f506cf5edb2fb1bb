"""The words with which a class declares its affordances."""

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
from labthings_fastapi.exceptions import AffordanceDefinitionError
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
    safe: bool = False,
    idempotent: bool = False,
    stop: bool = False,
    on_cancel: str | None = None,
    title: str | None = None,
) -> Callable[[Callable[Concatenate[OwnerT, P], R]], ActionDescriptor[OwnerT, P, R]]: ...


def action(func: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare that clients can run this method; see `ActionDescriptor` for the options."""
    if func is not None:
        return ActionDescriptor(func)

    def decorate(func: Callable[..., Any]) -> Any:
        return ActionDescriptor(func, **options)

    return decorate


class PropertyOptions(TypedDict, total=False):
    """What `lt.property` and `lt.setting` take beside the value; the last ten are constraints."""

    readonly: bool
    use_global_lock: bool | None
    observable: bool | float | None
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
    **options: Any,
) -> Any:
    """Declare that clients can read, and perhaps write, a value.

    On an attribute with a type hint, with `default` or `default_factory`, the Thing keeps the
    value. On a method, or around one as `@lt.property(unit="mm")`, the method computes it.
    Constraints are gt, ge, lt, le, multiple_of, allow_inf_nan, min_length, max_length, pattern.
    """
    return _declared(
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
    **options: Any,
) -> Any:
    """Declare a property that is saved when it is set, and restored when the server starts.

    Takes what `lt.property` takes.
    """
    return _declared(
        "lt.setting", DataSetting, FunctionalSetting, getter, default, default_factory, options
    )


def _declared(
    word: str,
    data: type[DataProperty[Any]],
    functional: type[FunctionalProperty[Any, Any]],
    getter: Callable[..., Any] | None,
    default: Any,
    default_factory: Callable[[], Any] | None,
    options: dict[str, Any],
) -> Any:
    """Make the descriptor that the arguments ask for."""
    known = PropertyOptions.__annotations__.keys()
    unknown = sorted(options.keys() - known)
    if unknown:
        raise AffordanceDefinitionError(
            f"{word} has no option {unknown[0]!r}. Options are: default, default_factory, "
            f"{', '.join(known)}."
        )
    constraints = {name: options.pop(name) for name in CONSTRAINTS if name in options}
    options["constraints"] = constraints
    if getter is not None:
        return functional(getter, **options)
    if default is not MISSING or default_factory is not None:
        return data(default, default_factory=default_factory, **options)
    return _PropertyMaker(data, functional, options)


class _PropertyMaker:
    """What `lt.property(unit=…)` without a default is: a decorator for a getter."""

    def __init__(
        self,
        data: type[DataProperty[Any]],
        functional: type[FunctionalProperty[Any, Any]],
        options: dict[str, Any],
    ) -> None:
        self._data = data
        self._functional = functional
        self._options = options

    def __call__(self, getter: Callable[[Any], Any]) -> FunctionalProperty[Any, Any]:
        return self._functional(getter, **self._options)

    def __set_name__(self, owner: type, name: str) -> None:
        # It was assigned to an attribute: a data property whose default was forgotten. What takes
        # its place says so when the class is checked.
        forgotten = self._data(**self._options)
        setattr(owner, name, forgotten)
        forgotten.__set_name__(owner, name)


def event(title: str | None = None, description: str | None = None) -> Any:
    """Declare something that can happen; the type hint says what data it carries.

    `overheated: lt.Event[float] = lt.event()`, then `self.overheated.emit(81.5)` from any thread.
    """
    return EventDescriptor(title, description)


def thing_slot(default: str | Iterable[str] | None = UNSET) -> Any:
    """Declare that this Thing needs another one, which the server connects."""
    return ThingSlot(default)


def endpoint(
    method: Method, path: str | None = None, **kwargs: Any
) -> Callable[[Callable[..., Any]], EndpointDescriptor]:
    """Declare a plain FastAPI route under the Thing's path; `kwargs` are FastAPI's own."""

    def decorate(func: Callable[..., Any]) -> EndpointDescriptor:
        return EndpointDescriptor(func, method, path, **kwargs)

    return decorate


thing_action = action
thing_property = property


def fastapi_endpoint(
    method: Method, path: str | None = None, **kwargs: Any
) -> Callable[[Callable[..., Any]], EndpointDescriptor]:
    """Declare a plain FastAPI route: the older name of `lt.endpoint`."""
    return endpoint(method, path, **kwargs)
