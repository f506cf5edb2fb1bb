"""Whether the hardware of a Thing is open, in the form that each request asks for."""

from __future__ import annotations

from labthings_fastapi.exceptions import ThingNotOpenError


class Opening:
    """Why code of one Thing must not run for clients now: its hardware is not open.

    The server that opens and closes the Thing replaces `refusal`; any thread reads it. Without a
    server nothing is refused.
    """

    __slots__ = ("refusal",)

    def __init__(self) -> None:
        """Refuse nothing."""
        self.refusal: str | None = None

    def require(self) -> None:
        """Do nothing if code of the Thing may run.

        Raises:
            ThingNotOpenError: the reason, and what to do.
        """
        if self.refusal is not None:
            raise ThingNotOpenError(self.refusal)
