"""Whether a class of Thing takes the arguments of a configuration, found without calling it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from labthings_fastapi.thing import Thing

INTERFACE = "thing_server_interface"
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def accepts_interface(signature: inspect.Signature) -> bool:
    """Tell whether an `__init__` is to be given the server's interface."""
    return any(
        parameter.name == INTERFACE or parameter.kind is inspect.Parameter.VAR_KEYWORD
        for parameter in signature.parameters.values()
    )


def argument_error(cls: type[Thing], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Say why a class does not take these arguments; None if it does, as far as one can tell."""
    signature = inspect.signature(cls.__init__)
    own = [p for p in signature.parameters.values() if p.name != INTERFACE]
    interface = {INTERFACE: None} if accepts_interface(signature) else {}
    try:
        # First as people see it: the interface is none of their business.
        signature.replace(parameters=own).bind(None, *args, **kwargs)
        signature.bind(None, *args, **{**kwargs, **interface})
    except TypeError as error:
        return _sentence(cls, signature, str(error))
    stranger = next((name for name in kwargs if not _is_taken(cls, name)), None)
    if stranger is not None:
        return _sentence(cls, signature, f"got an unexpected keyword argument {stranger!r}")
    return None


def _sentence(cls: type[Thing], signature: inspect.Signature, reason: str) -> str:
    taken = [
        str(parameter.replace(annotation=inspect.Parameter.empty))
        for parameter in list(signature.parameters.values())[1:]
        if parameter.name != INTERFACE
    ]
    return f"{cls.__name__} does not fit: {reason}; it takes: {', '.join(taken) or 'no arguments'}"


def _is_taken(cls: type[Thing], name: str) -> bool:
    """Follow a keyword through the `super().__init__(**kwargs)` of a class and its bases."""
    for init in _inits(cls):
        parameters = inspect.signature(init).parameters
        if name in parameters and parameters[name].kind in _NAMED:
            return True
        rest = [p for p in parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
        if not rest:
            return False
        if not _only_passed_on(init, rest[0].name):
            return True
    return False


def _inits(cls: type[Thing]) -> Iterator[Callable[..., None]]:
    for base in cls.__mro__[:-1]:
        if "__init__" in vars(base):
            yield vars(base)["__init__"]


def _only_passed_on(init: Callable[..., None], rest: str) -> bool:
    """Tell whether `**rest` of an `__init__` goes to that of the next class and nowhere else."""
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
