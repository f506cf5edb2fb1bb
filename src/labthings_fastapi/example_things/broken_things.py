"""Things that fail, to test how a server and its clients report errors."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import labthings_fastapi as lt


class ThingWithBrokenAffordances(lt.Thing):
    """A Thing whose property and action raise."""

    @lt.property
    def broken_property(self) -> None:
        """Raise an error at each reading."""
        raise RuntimeError("This is a broken property.")

    @lt.action
    def broken_action(self) -> None:
        """Raise an error."""
        raise RuntimeError("This is a broken action.")


class ThingThatCantInstantiate(lt.Thing):
    """A Thing whose `__init__` raises."""

    def __init__(self, **_kwargs: Any) -> None:
        raise RuntimeError("This thing can't be instantiated.")


class ThingThatCantStart(lt.Thing):
    """A Thing whose `__enter__` raises."""

    def __enter__(self) -> Self:
        """Raise an error, like the driver of hardware that is switched off."""
        raise RuntimeError("This thing can't start.")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing."""
