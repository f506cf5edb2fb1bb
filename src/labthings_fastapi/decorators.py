"""The words with which a class declares its affordances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.descriptors.data_property import MISSING, DataProperty
from labthings_fastapi.descriptors.endpoint import EndpointDescriptor
from labthings_fastapi.descriptors.functional_property import FunctionalProperty
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


@overload
def property(getter: Callable[[OwnerT], V], /) -> FunctionalProperty[OwnerT, V]: ...


@overload
def property(
    *,
    default: V,
    readonly: bool = False,
    use_global_lock: bool | None = None,
    observable: bool | float | None = None,
    unit: str | None = None,
    title: str | None = None,
    description: str | None = None,
    **constraints: Any,
) -> V: ...


@overload
def property(
    *,
    default_factory: Callable[[], V],
    readonly: bool = False,
    use_global_lock: bool | None = None,
    observable: bool | float | None = None,
    unit: str | None = None,
    title: str | None = None,
    description: str | None = None,
    **constraints: Any,
) -> V: ...


@overload
def property(
    *,
    readonly: bool = False,
    use_global_lock: bool | None = None,
    observable: bool | float | None = None,
    unit: str | None = None,
    title: str | None = None,
    description: str | None = None,
    **constraints: Any,
) -> Callable[[Callable[[OwnerT], V]], FunctionalProperty[OwnerT, V]]: ...


def property(
    getter: Callable[..., Any] | None = None,
    /,
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | None = None,
    readonly: bool = False,
    use_global_lock: bool | None = None,
    observable: bool | float | None = None,
    unit: str | None = None,
    title: str | None = None,
    description: str | None = None,
    **constraints: Any,
) -> Any:
    """Declare that clients can read, and perhaps write, a value.

    On an attribute with a type hint, with `default` or `default_factory`, the Thing keeps the
    value. On a method, or around one as `@lt.property(unit="mm")`, the method computes it.
    `constraints` are gt, ge, lt, le, multiple_of, allow_inf_nan, min_length, max_length, pattern.
    """
    unknown = set(constraints) - set(CONSTRAINTS)
    if unknown:
        raise AffordanceDefinitionError(
            f"lt.property has no option {sorted(unknown)[0]!r}. Constraints are: "
            f"{', '.join(sorted(CONSTRAINTS))}."
        )
    options: dict[str, Any] = {
        "readonly": readonly,
        "use_global_lock": use_global_lock,
        "observable": observable,
        "unit": unit,
        "title": title,
        "description": description,
        "constraints": constraints,
    }
    if getter is not None:
        return FunctionalProperty(getter, **options)
    if default is not MISSING or default_factory is not None:
        return DataProperty(default, default_factory=default_factory, **options)
    return _PropertyMaker(options)


class _PropertyMaker:
    """What `lt.property(unit=…)` without a default is: a decorator for a getter."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options

    def __call__(self, getter: Callable[[Any], V]) -> FunctionalProperty[Any, V]:
        return FunctionalProperty(getter, **self._options)

    def __set_name__(self, owner: type, name: str) -> None:
        # It was assigned to an attribute: a data property whose default was forgotten. What takes
        # its place says so when the class is checked.
        forgotten: DataProperty[Any] = DataProperty(**self._options)
        setattr(owner, name, forgotten)
        forgotten.__set_name__(owner, name)


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
