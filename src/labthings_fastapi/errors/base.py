"""The base of all errors, and the one that is no `Exception`."""

from __future__ import annotations


class LabThingsError(Exception):
    """The base of every error of this package, except `InvocationCancelledError`."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; the message alone is easier to read.
        return str(self.args[0]) if self.args else ""


class InvocationCancelledError(BaseException):
    """An invocation was asked to stop.

    It is not an `Exception`, so that `except Exception` in the code of a Thing does not catch it.
    Code that must clean up uses `finally`, or catches this error and raises it again.
    """
