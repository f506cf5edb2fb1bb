"""Things that fail, so that it can be seen what happens then."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import labthings_fastapi as lt


class ThingWithBrokenAffordances(lt.Thing):
    """A Thing whose property and action raise."""

    @lt.property
    def broken_property(self) -> None:
        """Raise an error whenever it is read."""
        raise RuntimeError("This is a broken property.")

    @lt.action
    def broken_action(self) -> None:
        """Raise an error."""
        raise RuntimeError("This is a broken action.")


class ThingThatCantInstantiate(lt.Thing):
    """A Thing that cannot be made."""

    def __init__(self, **_kwargs: Any) -> None:
        raise RuntimeError("This Thing cannot be instantiated.")


class ThingThatCantStart(lt.Thing):
    """A Thing that cannot be opened."""

    def __enter__(self) -> Self:
        """Fail, as hardware does that is switched off."""
        raise RuntimeError("This Thing cannot be started.")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close nothing."""
