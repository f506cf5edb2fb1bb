"""The functions that descriptors call: what is wrong with one is found when the class is made."""

from __future__ import annotations

import builtins
import functools
import inspect
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from labthings_fastapi.exceptions import DeclarationTypeError

from .base import BaseDescriptor

if TYPE_CHECKING:
    from collections.abc import Callable

_WRAPPERS: tuple[tuple[type, str, str], ...] = (
    (staticmethod, "a static method", "__func__"),
    (classmethod, "a class method", "__func__"),
    (builtins.property, "a Python property", "fget"),
    (functools.cached_property, "a cached property", "func"),
)
_ASYNC = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)


def require_method(func: Any, kind: str) -> None:
    """Refuse what is no method of an instance.

    Raises:
        AffordanceDefinitionError: naming the function, and what to write in its place.
    """
    name = getattr(func, "__qualname__", None) or getattr(func, "__name__", None) or repr(func)
    for wrapper, text, attribute in _WRAPPERS:
        if isinstance(func, wrapper):
            inner = getattr(func, attribute, None)
            name = getattr(inner, "__qualname__", name)
            raise DeclarationTypeError(
                f"{name}: it is {text}, and {kind} belongs to one Thing. Write a plain method "
                "with `self` as its first parameter."
            )
    if isinstance(func, BaseDescriptor):
        raise DeclarationTypeError(
            f"{func.where}: it is already {_a(func.kind)}, and cannot be {kind} as well. "
            "Remove one of the two decorators."
        )
    if not callable(func):
        raise DeclarationTypeError(
            f"{kind[:1].upper()}{kind[1:]} needs a method, and {func!r} is none."
        )


def check_function(func: Callable[..., Any], where: str, role: str, *, values: int = 0) -> None:
    """Refuse a getter, setter or resetter that cannot be called with a Thing and `values` values.

    Raises:
        AffordanceDefinitionError: naming `where`, and what to write in its place.
    """
    require_method(func, f"the {role} of {where}")
    if any(is_async(func) for is_async in _ASYNC):
        raise DeclarationTypeError(
            f"{where}: its {role} is `async`, and nobody would await it. Write a plain method; "
            "it runs in a worker thread, and may wait for a coroutine with "
            "`self._thing_server_interface.call_async_task(function)`."
        )
    if inspect.isgeneratorfunction(func):
        raise DeclarationTypeError(
            f"{where}: its {role} has a `yield`, so calling it would do nothing. Return the value, "
            "or declare an action: an action may yield results."
        )
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):  # written in C, without a signature
        return
    try:
        signature.bind(*[None] * (1 + values))
    except TypeError:
        wanted = "(self, value)" if values else "(self)"
        raise DeclarationTypeError(
            f"{where}: its {role} must be called with {wanted}, and has the parameters "
            f"{_parameters(signature)}. A property has no parameters: declare an action for that."
        ) from None


def _parameters(signature: inspect.Signature) -> str:
    return str(signature.replace(return_annotation=inspect.Signature.empty))


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def wrapped_descriptor(value: Any) -> tuple[BaseDescriptor, bool] | None:
    """Return the descriptor inside another decorator, and whether that can work in Python at all.

    Such an affordance is none: the class has the outer object, and clients cannot use it.
    """
    for wrapper, _, attribute in _WRAPPERS:
        if isinstance(value, wrapper):
            inner = getattr(value, attribute, None)
            return (inner, False) if isinstance(inner, BaseDescriptor) else None
    if not isinstance(value, BaseDescriptor):
        # As `functools.wraps`, `functools.cache` and `functools.partial` keep what they are given.
        for attribute in ("__wrapped__", "func"):
            inner = inspect.getattr_static(value, attribute, None)
            if isinstance(inner, BaseDescriptor):
                return inner, True
    return None


def is_surely_json(hint: Any) -> bool:
    """Return whether a type consists of builtin types only, so that it need not be compiled.

    A server with hundreds of affordances starts faster without compiling their types.
    """
    if hint in (int, float, str, bool, None, NoneType, Any):
        return True
    arguments = get_args(hint)
    return (
        get_origin(hint) in (list, tuple, set, Union, UnionType)
        and bool(arguments)
        and all(each is Ellipsis or is_surely_json(each) for each in arguments)
    )


class Accessor:
    """A setter or resetter in the body of a subclass, whose name is not that of its property.

    When the class is made, the class gets a property of its own with this function, and the
    function keeps its name, as in the class that declares the property.
    """

    def __init__(self, declared: Any, attribute: str, func: Callable[..., Any]) -> None:
        """Let `attribute` of a copy of the property `declared` be the function."""
        self._declared = declared
        self._attribute = attribute
        self._func = func

    def __set_name__(self, owner: type, name: str) -> None:
        property_name: str = self._declared.name
        own = vars(owner).get(property_name)
        if own is None or own is self or not isinstance(own, type(self._declared)):
            own = self._declared.for_subclass()
            setattr(owner, property_name, own)
            own.__set_name__(owner, property_name)
        setattr(own, self._attribute, self._func)
        if name != property_name:
            setattr(owner, name, self._func)
