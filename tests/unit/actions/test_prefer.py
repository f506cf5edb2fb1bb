"""`Prefer: wait` as clients write it (RFC 7240)."""

from __future__ import annotations

import pytest

from labthings_fastapi.actions.routes import applied, wait_seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("respond-async", None),
        ("wait=5", 5),
        ("wait=0", 0),
        ("Wait=5", 5),
        ('wait="7"', 7),
        ("wait = 5", 5),
        ("respond-async, wait=10", 10),
        ("wait=10, respond-async", 10),
        ("return=minimal; foo=bar, wait=3", 3),
        ("wait=3;x=y", 3),
        ("wait=60", 60),
        ("wait=61", 60),
        ("wait=999999999", 60),
        ("wait", 2.5),
        ("respond-async, wait", 2.5),
        ("wait=soon", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("await=5", None),
        ("no-wait=5", None),
        ("wait=5, wait=9", 5),
    ],
)
def test_what_a_client_asks_for(header: str | None, seconds: float | None) -> None:
    assert wait_seconds(header, 2.5) == seconds


def test_even_an_actions_own_time_is_bounded() -> None:
    assert wait_seconds("wait", 1e6) == 60


def test_the_answer_says_what_was_done() -> None:
    assert applied(5.0) == {"Preference-Applied": "wait=5"}
    assert applied(0.5) == {"Preference-Applied": "wait=0.5"}
