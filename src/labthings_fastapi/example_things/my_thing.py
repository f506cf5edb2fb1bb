"""A small Thing with properties and actions of several kinds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

import labthings_fastapi as lt


class MyThing(lt.Thing):
    """An example Thing with a few affordances."""

    counter: int = lt.property(default=0, readonly=True)
    """A number that actions increase."""

    foo: str = lt.property(default="Example")
    """A text that clients can change."""

    @lt.action
    def anaction(
        self,
        repeats: Annotated[int, Field(description="How often the counter is increased.")],
        undocumented: int,
        title: Annotated[str, Field(description="A title that is logged.")] = "Untitled",
        attempts: Annotated[
            list[str] | None, Field(description="Names of attempts; none by default.")
        ] = None,
    ) -> dict[str, str]:
        """Increase the counter several times.

        All parameters except one have a description, to show both in the documentation.
        """
        self.logger.info(
            "%s: %d repeats, undocumented %d, attempts %s", title, repeats, undocumented, attempts
        )
        for _ in lt.track(range(repeats)):
            self.increment_counter()
        return {"end_result": "finished!!"}

    @lt.action
    def make_a_dict(
        self, extra_key: str | None = None, extra_value: str | None = None
    ) -> dict[str, str | None]:
        """Return a dictionary, with one more entry if `extra_key` is set."""
        result: dict[str, str | None] = {"key": "value"}
        if extra_key is not None:
            result[extra_key] = extra_value
        return result

    @lt.action
    def increment_counter(self) -> None:
        """Add one to the counter."""
        self.counter += 1

    @lt.action
    def slowly_increase_counter(self, increments: int = 60, delay: float = 1) -> None:
        """Add one to the counter `increments` times, each time after `delay` seconds."""
        for _ in lt.track(range(increments)):
            lt.cancellable_sleep(delay)
            self.increment_counter()

    @lt.action
    def action_without_arguments(self) -> None:
        """Do nothing, without parameters."""

    @lt.action
    def action_with_only_kwargs(self, **kwargs: Any) -> None:
        """Accept any parameters, and log them."""
        self.logger.info("Called with %s.", kwargs)
