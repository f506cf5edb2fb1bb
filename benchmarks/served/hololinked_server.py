"""The same instrument for hololinked, served over HTTP."""

import logging
import sys

from hololinked.core import Thing, action
from hololinked.core.properties import Number


class Instrument(Thing):
    """An instrument that does next to nothing."""

    speed = Number(default=1.0)

    def _position(self):
        return 1.0

    position = Number(fget=_position, readonly=True)

    @action()
    def noop(self):
        return None


if __name__ == "__main__":
    logging.disable(logging.INFO)  # no line of log for each request
    Instrument(id="instrument", log_level=logging.WARNING).run_with_http_server(
        port=int(sys.argv[1]), address="127.0.0.1", print_welcome_message=False
    )
