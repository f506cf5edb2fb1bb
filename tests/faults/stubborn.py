"""A server of Things that do not stop when they are cancelled; prints what is closed."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import labthings_fastapi as lt

FOREVER = threading.Event()


class Polite(lt.Thing):
    """Opens and closes as it should, and writes it down."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with Path(self._thing_server_interface.application_config["diary"]).open("a") as diary:  # type: ignore[index]
            diary.write(f"{self.name}\n")

    @lt.action
    def stay(self) -> None:
        """Never end, and never listen."""
        FOREVER.wait()

    @lt.property
    def stuck(self) -> int:
        """Never answer."""
        time.sleep(600)
        return 1

    @lt.action
    def babble(self) -> Any:
        """Yield as much as anybody can read, and more."""
        while True:
            yield "x" * 100_000


class Stubborn(Polite):
    """Does not close."""

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        FOREVER.wait()


if __name__ == "__main__":
    lt.ThingServer.from_things(
        {"first": Polite, "second": Stubborn, "third": Polite},
        settings_folder=sys.argv[1],
        application_config={"diary": sys.argv[2]},
        shutdown_timeout=float(sys.argv[3]),
    ).serve(port=0)
