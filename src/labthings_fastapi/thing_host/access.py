"""Keywords of a class of Thing: who uses it when, in which thread, and who opens it again."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Literal

from labthings_fastapi.actions.turns import TURN, make_turn, run_code
from labthings_fastapi.exceptions import DeclarationTypeError

_OPENING = ("__enter__", "__exit__", "safe_state")


def declare_access(
    cls: Any,
    *,
    exclusive: bool | None = None,
    thread: Literal["own"] | None = None,
    reopen: Literal["manual", "auto"] | None = None,
) -> None:
    """Note the keywords of a class of Thing; None: as its base says.

    Raises:
        AffordanceDefinitionError: a keyword has an impossible value, or the class has async
            members and a thread of its own.
    """
    if exclusive not in (None, True, False):
        raise DeclarationTypeError(
            f"{cls.__name__}: exclusive={exclusive!r} is not valid. Use True or False."
        )
    if thread not in (None, "own"):
        raise DeclarationTypeError(
            f"{cls.__name__}: thread={thread!r} is not valid. Use thread='own', or leave it out."
        )
    if reopen not in (None, "manual", "auto"):
        raise DeclarationTypeError(
            f"{cls.__name__}: reopen={reopen!r} is not valid. Use reopen='auto' or 'manual'."
        )
    if reopen is not None:
        cls._labthings_reopen = reopen
    if exclusive is not None:
        cls._exclusive = exclusive
    if thread is not None:
        cls._own_thread = True
    if cls._own_thread:
        check_own_thread(cls)
        for name in _OPENING:
            _run_in_own_thread(cls, name)


def check_own_thread(cls: type) -> None:
    """Raise `AffordanceDefinitionError` if code of the class would run on an event loop."""
    members = sorted(async_members(cls))
    if members:
        raise DeclarationTypeError(
            f"{cls.__name__} has a thread of its own (thread='own'), but async members, which run "
            f"on an event loop: {', '.join(members)}. Write them with plain `def`, or use "
            "exclusive=True."
        )


def async_members(cls: type) -> set[str]:
    """Return the names of all async functions in a class of Thing and its bases."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found |= vars(base)
    return {name for name, member in found.items() if _is_async(member)}


def _is_async(member: Any) -> bool:
    # `func` of an action or endpoint, `__func__` of a static or class method.
    member = getattr(member, "func", getattr(member, "__func__", member))
    plain = inspect.unwrap(member) if callable(member) else member
    return inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)


def _run_in_own_thread(cls: type, name: str) -> None:
    """Let a method of the class run in the own thread of its Thing, also without a server."""
    method = getattr(cls, name, None)
    if method is None or getattr(method, "_labthings_in_own_thread", False):
        return

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return run_code(self, functools.partial(method, self, *args, **kwargs))

    call._labthings_in_own_thread = True  # type: ignore[attr-defined]
    setattr(cls, name, call)


def give_access(thing: Any, *, exclusive: bool, own_thread: bool) -> None:
    """Let one at a time use a Thing, or any number; before any code of it has run."""
    thing.__dict__.pop(TURN, None)
    if exclusive or own_thread:
        make_turn(thing, exclusive=exclusive, own_thread=own_thread)
