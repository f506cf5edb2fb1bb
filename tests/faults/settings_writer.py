"""Sets a setting as fast as it can, and prints each value after it was set; to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

import labthings_fastapi as lt
from labthings_fastapi.testing import create_thing_without_server


class Laser(lt.Thing):
    """A laser whose calibration must not be lost."""

    power: int = lt.setting(default=0)
    note: str = lt.setting(default="")


def main() -> None:
    """Write settings until this process is stopped."""
    laser = create_thing_without_server(Laser, settings_folder=Path(sys.argv[1]) / "laser")
    first = laser.power
    for step in range(1, 1001):
        laser.power = first + step
        laser.note = "x" * (step % 997)
        sys.stdout.write(f"{laser.power}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
