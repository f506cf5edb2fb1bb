"""A client who may use single Things only has a share of the places to run and to wait."""

from __future__ import annotations

import gc

import pytest

from labthings_fastapi.actions.invocation_limits import SHARE, InvocationLimits
from labthings_fastapi.exceptions import TooBusyError


def nothing() -> None:
    """Start nothing."""


def fill(limit, most=10_000):
    """Reserve and start until it is refused; return how many started and how many wait."""
    started = waiting = 0
    for _ in range(most):
        try:
            limit.reserve()
        except TooBusyError as error:
            return started, waiting, str(error)
        if limit.start_or_wait(nothing):
            started += 1
        else:
            waiting += 1
    raise AssertionError("nothing was refused")


def test_a_share_is_a_quarter_and_others_have_the_rest():
    limits = InvocationLimits(8, 40)
    share = limits.share_of("victor")
    started, waiting, text = fill(share)
    assert (started, waiting) == (8 // SHARE, 40 // SHARE)
    assert "'victor'" in text
    assert fill(limits)[:2] == (6, 30)


def test_two_clients_have_two_shares_and_one_client_has_one():
    limits = InvocationLimits(8, 40)
    first, same, other = (limits.share_of(name) for name in ("a", "a", "b"))
    assert first is same
    assert fill(first)[:2] == fill(other)[:2] == (2, 10)


def test_a_full_share_does_not_keep_others_in_the_queue_from_starting():
    limits, began = InvocationLimits(4, 40), []
    share = limits.share_of("victor")

    def begin(limit, name):
        limit.reserve()
        if limit.start_or_wait(lambda: began.append(name)):
            began.append(name)

    for name, limit in (("v1", share), ("v2", share), ("o1", limits), ("o2", limits)):
        begin(limit, name)
    begin(limits, "o3")
    assert began == ["v1", "o1", "o2", "o3"]
    begin(limits, "o4")
    limits.release()
    assert began[-1] == "o4"  # before v2, which was first in the queue
    limits.release()
    assert began[-1] == "o4"
    share.release()
    assert began[-1] == "v2"


def test_what_is_cancelled_or_has_ended_gives_its_place_in_the_share_back():
    limits = InvocationLimits(8, 40)
    share = limits.share_of("victor")
    share.reserve()
    share.cancel_reservation()
    started = [share.reserve() or share.start_or_wait(nothing) for _ in range(2)]
    assert started == [True, True]
    share.reserve()
    assert not share.start_or_wait(test_a_share_is_a_quarter_and_others_have_the_rest)
    share.cancel_waiting(test_a_share_is_a_quarter_and_others_have_the_rest)
    for _ in started:
        share.release()
    assert fill(share)[:2] == (2, 10)


def test_a_waiting_one_can_be_started_past_the_share():
    limits = InvocationLimits(8, 40)
    share, began = limits.share_of("victor"), []
    fill(share)
    limits.share_of("victor").cancel_waiting(nothing)
    share.reserve()

    def start():
        began.append(1)

    assert not share.start_or_wait(start)
    share.start_now(start)
    share.start_now(start)
    assert began == [1]


def test_shares_of_clients_that_have_gone_are_forgotten():
    limits = InvocationLimits()
    limits.share_of("victor")
    gc.collect()
    assert not limits._shares


@pytest.mark.parametrize(("running", "waiting"), [(1, 0), (1, 1), (3, 2)])
def test_a_share_has_a_place_at_least(running, waiting):
    share = InvocationLimits(running, waiting).share_of("victor")
    share.reserve()
    assert share.start_or_wait(nothing)
