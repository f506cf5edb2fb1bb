"""wotpy, a Scripting API for Python, uses a Thing over HTTP.

It cannot consume the demo stage: it supports schemas within schemas only if they have a `type`, and
a number that may be null or "NaN" is a `oneOf` (W3C TD 1.1, section 5.3.2.1, allows both).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import labthings_fastapi as lt

pytestmark = pytest.mark.timeout(150)  # wotpy takes long to import

HERE = Path(__file__).parent
ENVIRONMENT = HERE / ".venv"


class Lamp(lt.Thing):
    """A lamp."""

    level: int = lt.property(default=1)
    label: str = lt.property(default="bench lamp")
    blinked: lt.Event[int] = lt.event()

    @lt.action(concurrency="queue")  # so that no two blink alternately
    def blink(self, times: int) -> None:
        """Blink."""
        for number in range(times):
            self.blinked.emit(number)


@pytest.fixture(scope="module")
def wotpy():
    """The Python of the environment that `make test` makes for wotpy."""
    folder = "Scripts" if os.name == "nt" else "bin"
    python = ENVIRONMENT / folder / "python"
    if not (ENVIRONMENT / ".installed").exists():
        missing = "wotpy is not installed (`make conformance` installs it)"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"A Python client of the W3C's API must judge the server here: {missing}.")
        pytest.skip(f"No Python client of the W3C's API judges the server: {missing}.")
    return python


@pytest.fixture
def found(wotpy, serve):
    ended = subprocess.run(
        [str(wotpy), str(HERE / "wotpy_client.py")],
        input=json.dumps({"url": f"{serve({'lamp': Lamp})}/lamp/"}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=90,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_it_reads_writes_invokes_observes_and_listens(found):
    assert (found["title"], found["names"]) == ("Lamp", ["label", "level"])
    assert (found["before"], found["after"]) == (1, 7)
    assert found["run"]["status"] in {"pending", "running", "completed"}
    assert found["seen"] == sorted(set(found["seen"]))  # rising numbers: in order, none twice
    # Whole runs of two blinks each, from where it began to listen: none is lost between polls.
    first = found["heard"][0]
    assert found["heard"] == [(first + number) % 2 for number in range(len(found["heard"]))]
