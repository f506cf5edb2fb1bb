"""A lamp of hololinked, for clients. Runs in an environment of its own, until it is ended."""

from __future__ import annotations

import logging
import socket
import sys
import time
from contextlib import suppress

from hololinked.core import Event, Thing, action
from hololinked.core.properties import Boolean, Integer, Number


class Lamp(Thing):
    """A lamp."""

    level = Integer(default=1, bounds=(0, 10), observable=True)
    warm = Boolean(readonly=True, fget=lambda self: self.level > 5)
    broken = Number(readonly=True, fget=lambda self: self._ask_the_bulb())
    blinked = Event()

    def _ask_the_bulb(self) -> float:
        raise OSError("no answer from the bulb")

    @action()
    def double(self, number: int) -> int:
        """Double a number."""
        return 2 * number

    @action()
    def blink(self, times: int) -> None:
        """Blink."""
        for number in range(times):
            self.blinked.push({"number": number})

    @action()
    def wait(self, seconds: float) -> str:
        """Take some time."""
        time.sleep(seconds)
        return "done"

    @action()
    def fail(self) -> None:
        """Fail."""
        raise RuntimeError("The filament is gone.")


def main() -> None:
    """Serve it, and say so once it listens."""
    logging.disable()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    Lamp(id="lamp").run_with_http_server(port=port, address="127.0.0.1", forked=True)
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            break
        time.sleep(0.01)
    sys.stdout.write(f"Listening on http://127.0.0.1:{port} \n")
    sys.stdout.flush()
    while True:
        time.sleep(3600)


main()
