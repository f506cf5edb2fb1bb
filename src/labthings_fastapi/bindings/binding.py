"""The port through which Things are offered in a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from labthings_fastapi.thing_description.protocols import FormWriter

if TYPE_CHECKING:
    from labthings_fastapi.thing import Thing


class Binding(FormWriter, Protocol):
    """Offers Things in one protocol and writes the forms that say how to reach them."""

    def expose(self, thing: Thing) -> None:
        """Serve a Thing at its path, from now on; also while the server runs."""
