"""wotpy, a Scripting API for Python, uses a Thing over HTTP.

It supports schemas within schemas only if they have a `type`. A number that may be null is a
`oneOf` without one (W3C TD 1.1, section 5.3.2.1), so inputs of the demo have none.
"""

from __future__ import annotations

import pytest

import labthings_fastapi as lt

pytestmark = pytest.mark.timeout(150)  # wotpy takes long to import


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


@pytest.fixture
def found(in_python, serve):
    return in_python("wotpy", "wotpy_client.py", url=f"{serve({'lamp': Lamp})}/lamp/")


def test_it_reads_writes_invokes_observes_and_listens(found):
    assert (found["title"], found["names"]) == ("Lamp", ["label", "level"])
    assert (found["before"], found["after"]) == (1, 7)
    assert found["run"]["status"] in {"pending", "running", "completed"}
    assert found["seen"] == sorted(set(found["seen"]))  # rising numbers: in order, none twice
    # Whole runs of two blinks each, from where it began to listen: none is lost between polls.
    first = found["heard"][0]
    assert found["heard"] == [(first + number) % 2 for number in range(len(found["heard"]))]
