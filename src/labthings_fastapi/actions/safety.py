"""After a run that did not end well: bring the hardware to rest."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from labthings_fastapi.concurrency.things_loop import things_loop
from labthings_fastapi.exceptions import describe_exception

from .logs import thing_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from .context import InvocationContext
    from .protocols import Host, Runnable


def make_safe(action: Runnable, thing: Host, invocation: InvocationContext) -> None:
    """Call the action's `on_cancel`, then `safe_state` of every Thing that the run entered.

    The latest entered comes first. Runs inside the run, in its thread, after its code has stopped
    because of a cancel, an error or a shutdown. What fails is logged, and the next one is called.
    """
    if action.on_cancel is not None:
        _call(thing, getattr(thing, action.on_cancel, None), action.on_cancel)
    for entered in invocation.take_things():
        if hasattr(entered, "safe_state"):
            _call(entered, entered.safe_state, "safe_state")


def _call(thing: Any, method: Callable[[], Any] | None, name: str) -> None:
    logger = thing_log(thing.name)
    try:
        if method is None:
            raise AttributeError(f"{type(thing).__name__} has no method {name!r}")
        result = method()
        if inspect.iscoroutine(result):
            things_loop().submit(result).result()
    except BaseException as error:
        logger.error(
            "%s of Thing %r failed: the hardware may not be at rest. %s",
            name,
            thing.name,
            describe_exception(error),
            exc_info=error,
        )
