"""Exceptions as text."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def describe_exception(error: BaseException) -> str:
    """Return `Name: message`; works also if the exception's `__str__` raises.

    A group is followed by the exceptions in it, also those of groups inside it: its own message
    only counts them. The code of a Thing may raise any exception. A report of a failure must not
    fail itself.
    """
    text = _described(error)
    if not isinstance(error, BaseExceptionGroup):
        return text
    causes = list(islice(_causes(error), _MAX_CAUSES + 1))
    named = "; ".join(map(_described, causes[:_MAX_CAUSES]))
    return f"{text}: {named}{'; and more' if len(causes) > _MAX_CAUSES else ''}"


_MAX_CAUSES = 20


def _causes(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    """Yield the exceptions that are no groups; a subclass may hide or fake its attributes."""
    waiting: list[BaseException] = [group]
    while waiting:
        found = waiting.pop()
        if isinstance(found, BaseExceptionGroup):
            waiting += reversed(_members_of(found))
        else:
            yield found


_members_of = BaseExceptionGroup.exceptions.__get__


def _described(error: BaseException) -> str:
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - `__str__` may be user code
        return f"{name} (its message could not be read)"
    if _MANUAL in text:
        text = "\n".join(line for line in text.splitlines() if _MANUAL not in line)
    return f"{name}: {text}" if text else name


_MANUAL = "For further information visit https://errors.pydantic.dev"
