"""The port that every binding of a protocol implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from labthings_fastapi.thing_description.protocols import FormWriter

if TYPE_CHECKING:
    from labthings_fastapi.thing import Thing


class Binding(FormWriter, Protocol):
    """Serves Things in one protocol and writes the forms of their Thing Descriptions."""

    def expose(self, thing: Thing) -> None:
        """Serve a Thing at its path from now on; any thread, also while the server runs."""
