"""Guessing costs the address that guesses, by a clock that the test sets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labthings_fastapi.security.guesses import (
    FREE_GUESSES,
    LONGEST_WAIT,
    MEMORY_SECONDS,
    MOST_ADDRESSES,
    Guesses,
    TooManyGuessesError,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guesses(clock: Clock) -> Guesses:
    return Guesses(clock)


def guess(guesses: Guesses, address: str | None = "192.0.2.1") -> int:
    with guesses.attempt(address):
        return guesses.failed(address)


def wait_for(guesses: Guesses, address: str = "192.0.2.1") -> float:
    with pytest.raises(TooManyGuessesError) as refused:
        guess(guesses, address)
    return refused.value.seconds


def test_the_waiting_time_doubles_up_to_a_minute(guesses: Guesses, clock: Clock) -> None:
    for _ in range(FREE_GUESSES):
        guess(guesses)
    for expected in (1, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT):
        assert wait_for(guesses) == expected
        clock.now += expected
        guess(guesses)


def test_a_refused_guess_does_not_make_the_wait_longer(guesses: Guesses) -> None:
    for _ in range(FREE_GUESSES):
        guess(guesses)
    assert [wait_for(guesses) for _ in range(20)] == [1.0] * 20


@pytest.mark.parametrize(
    ("other", "waits"),
    [("192.0.2.2", False), ("2001:db8::2", True), ("2001:db8:0:1::1", False), (None, False)],
)
def test_other_addresses_do_not_wait_except_those_of_the_same_client(
    guesses: Guesses, other: str | None, waits: bool
) -> None:
    for address in ("192.0.2.1", "2001:db8::1"):
        for _ in range(FREE_GUESSES):
            guess(guesses, address)
    if waits:
        assert wait_for(guesses, str(other)) == 1.0
    else:
        assert guess(guesses, other) == 1


def test_a_client_in_this_process_never_waits(guesses: Guesses) -> None:
    assert [guess(guesses, None) for _ in range(100)] == [1] * 100


def test_one_address_tries_one_password_at_a_time(guesses: Guesses) -> None:
    with guesses.attempt("192.0.2.1"):
        assert wait_for(guesses) > 0
        guess(guesses, "192.0.2.2")
    guess(guesses)


def test_the_log_gets_one_line_an_address_and_minute_with_the_number(
    guesses: Guesses, clock: Clock
) -> None:
    logged = []
    for _ in range(6):
        logged.append(guess(guesses))
        clock.now += 20
    assert logged == [1, 0, 0, 3, 0, 0]


def test_guesses_are_forgotten_in_time(guesses: Guesses, clock: Clock) -> None:
    for _ in range(FREE_GUESSES):
        guess(guesses)
    clock.now += MEMORY_SECONDS + 1
    for _ in range(FREE_GUESSES):
        guess(guesses)
    assert wait_for(guesses) == 1.0


def test_any_number_of_addresses_costs_a_bounded_memory(guesses: Guesses) -> None:
    for n in range(MOST_ADDRESSES + 100):
        guess(guesses, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(guesses._guessers) == MOST_ADDRESSES


@pytest.mark.parametrize("fail", [guess, lambda guesses: guesses.failed("192.0.2.1")])
def test_the_first_guess_is_free(guesses: Guesses, fail: Callable[[Guesses], int]) -> None:
    assert fail(guesses) == 1
    assert guess(guesses) == 0
