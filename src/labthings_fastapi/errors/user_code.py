"""Errors whose cause is in the code of a Thing, and that can say where it is."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from .base import LabThingsError

if TYPE_CHECKING:
    from collections.abc import Callable


class CausedByUserCodeError(LabThingsError):
    """Something is wrong with the code of a Thing; the text can name the place."""

    _source: str | None = None

    def set_source_function(self, function: Callable[..., object]) -> None:
        """Add the name of a function, and `<file>:<first line>`, to the text."""
        name = getattr(function, "__qualname__", repr(function))
        code = getattr(inspect.unwrap(function), "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
        self._source = f"{name}{place}"

    def set_source_class(self, cls: type, attribute: str | None = None) -> None:
        """Add `<module>.<class>`, with `.<attribute>` if one is given, to the text."""
        self._source = f"{cls.__module__}.{cls.__qualname__}"
        if attribute is not None:
            self._source += f".{attribute}"

    def __str__(self) -> str:
        """Return all arguments as text, and the place behind them."""
        text = super().__str__() if len(self.args) <= 1 else ", ".join(map(str, self.args))
        if self._source is None:
            return text
        return f"{text}\nThe code is in {self._source}." if text else f"In {self._source}."


class InvalidReturnValueError(CausedByUserCodeError, RuntimeError, TypeError):
    """An action returned or yielded a value that breaks its return hint."""


class UnserialisableValueError(CausedByUserCodeError, ValueError):
    """A value has no JSON form."""

    def __init__(self, where: str, value_type: type, reason: str) -> None:
        """Name the affordance, the type of the value and the reason."""
        super().__init__(
            f"{where}: a value of type {value_type.__name__!r} cannot be written as JSON: {reason}"
        )
