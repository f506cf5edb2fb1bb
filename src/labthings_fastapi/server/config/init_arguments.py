"""Check the arguments of a configuration against the `__init__` of a class, without calling it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from labthings_fastapi.thing import Thing

INTERFACE = "thing_server_interface"
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def accepts_interface(signature: inspect.Signature) -> bool:
    return any(
        parameter.name == INTERFACE or parameter.kind is inspect.Parameter.VAR_KEYWORD
        for parameter in signature.parameters.values()
    )


def argument_error(cls: type[Thing], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    signature = inspect.signature(cls.__init__)
    visible = [p for p in signature.parameters.values() if p.name != INTERFACE]
    interface = {INTERFACE: None} if accepts_interface(signature) else {}
    try:
        # First without the interface, which users do not pass and should not read about.
        signature.replace(parameters=visible).bind(None, *args, **kwargs)
        signature.bind(None, *args, **{**kwargs, **interface})
    except TypeError as error:
        return _message(cls, signature, str(error))
    unexpected = next((name for name in kwargs if not _is_accepted(cls, name)), None)
    if unexpected is not None:
        return _message(cls, signature, f"got an unexpected keyword argument {unexpected!r}")
    return None


def _message(cls: type[Thing], signature: inspect.Signature, reason: str) -> str:
    parameters = [
        str(parameter.replace(annotation=inspect.Parameter.empty))
        for parameter in list(signature.parameters.values())[1:]
        if parameter.name != INTERFACE
    ]
    expected = ", ".join(parameters) or "none"
    return f"{cls.__name__}(): {reason}; parameters: {expected}"


def _is_accepted(cls: type[Thing], name: str) -> bool:
    """Follow a keyword through the `super().__init__(**kwargs)` of a class and its bases."""
    for init in _inits(cls):
        parameters = inspect.signature(init).parameters
        if name in parameters and parameters[name].kind in _NAMED:
            return True
        rest = [p for p in parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
        if not rest:
            return False
        if not _is_only_passed_on(init, rest[0].name):
            return True
    return False


def _inits(cls: type[Thing]) -> Iterator[Callable[..., None]]:
    for base in cls.__mro__[:-1]:
        if "__init__" in vars(base):
            yield vars(base)["__init__"]


def _is_only_passed_on(init: Callable[..., None], rest: str) -> bool:
    """Return whether `**rest` of an `__init__` is only used for `super().__init__(**rest)`."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, TypeError, SyntaxError):  # made at run time, or without its source
        return False
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    passed = [
        keyword.value
        for call in calls
        if ast.unparse(call.func) == "super().__init__"
        for keyword in call.keywords
        if keyword.arg is None
    ]
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == rest]
    return bool(uses) and all(use in passed for use in uses)
