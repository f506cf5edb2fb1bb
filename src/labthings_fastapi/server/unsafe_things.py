"""Things that took part in an invocation which a crash interrupted: they are made safe again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_description.paths import name_of

from .thing_hooks import call_safe_state

if TYPE_CHECKING:
    from labthings_fastapi.journal.journal import Journal
    from labthings_fastapi.thing import Thing

LOGGER = own_logger("server")


class UnsafeThings:
    """The names of these Things, until `safe_state` has worked; any thread may use it.

    The journal has them too, so a crash before that changes nothing.
    """

    def __init__(self) -> None:
        """Know none."""
        self._lock = threading.Lock()  # guards the two below
        self._names: set[str] = set()
        self._journal: Journal | None = None

    def load(self, journal: Journal) -> None:
        """Find the Things in the journal of this start; may wait for a disk."""
        names: list[str] = []
        try:
            names = journal.things_to_make_safe()
        except Exception as error:  # noqa: BLE001 - a bad journal stops no control of hardware
            LOGGER.error("The journal does not tell which Things to make safe: %r", error)
        with self._lock:
            self._names, self._journal = set(names), journal

    def make_safe(self, thing: Thing) -> None:
        """Call the `safe_state` of this open Thing, if that is due; never raises."""
        name = name_of(thing)
        with self._lock:
            journal = self._journal
            if journal is None or name not in self._names:
                return
        message, level = _made_safe(thing, name)
        if level != "ERROR":
            with self._lock:
                self._names.discard(name)
        journal.made_safe(name, message, level)


def _made_safe(thing: Thing, name: str) -> tuple[str, str]:
    """Call `safe_state`; return what to write in the journal, and the level."""
    function = getattr(thing, "safe_state", None)
    if not callable(function):
        return f"Thing {name!r} has no safe_state that could be called after the restart.", "INFO"
    try:
        call_safe_state(thing, function)
    except BaseException as error:  # noqa: BLE001 - hardware raises anything; it is logged
        reason = describe_exception(error)
        thing_log(name).error(
            "Its safe_state failed after a run was interrupted: the hardware may not be at rest. "
            "%s",
            reason,
            exc_info=error,
        )
        return (
            f"safe_state of Thing {name!r} failed after the restart: the hardware may not be at "
            f"rest. {reason}"
        ), "ERROR"
    thing_log(name).warning("It was made safe (safe_state), because a run was interrupted.")
    return f"safe_state of Thing {name!r} was called after the restart.", "INFO"
