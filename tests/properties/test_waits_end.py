"""Runs that use Things one at a time, in any order and nested at will: every wait ends."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

import labthings_fastapi as lt
from labthings_fastapi.actions import ActionManager, InvocationStatus
from labthings_fastapi.actions.group_lock import _waits
from labthings_fastapi.exceptions import ActionBusyError, InvocationCancelledError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labthings_fastapi.actions import Invocation


class Node(lt.Thing):
    """Does what a program says, to itself and to others."""

    others: list[Any]

    inside = 0

    @contextmanager
    def used(self) -> Iterator[None]:
        """Use the driver, which may be in use by another thread unless the Thing sees to that."""
        if isinstance(self, (Exclusive, Own)):
            assert self.inside == 0
            self.inside += 1
        time.sleep(0.0002)
        self.inside = 0
        yield

    @lt.property
    def value(self) -> int:
        with self.used():
            return 1

    @value.setter
    def _set_value(self, value: int) -> None:
        with self.used():
            pass

    def obey(self, program: list[Any]) -> None:
        for what, which, inner in program:
            lt.cancellable_sleep(0.0005)  # so that others come in between
            one = self.others[which % len(self.others)]
            match what:
                case "read":
                    assert one.value == 1
                case "write":
                    one.value = 2
                case "hold":
                    with lt.hold(one, self.others[(which + 1) % len(self.others)]):
                        self.obey(inner)
                case _:
                    getattr(one, what)(inner)

    @lt.action(concurrency="queue", group="one")
    def queue(self, program: list[Any]) -> None:
        self.obey(program)

    @lt.action(concurrency="queue", group="two")
    def other(self, program: list[Any]) -> None:
        self.obey(program)

    @lt.action
    def parallel(self, program: list[Any]) -> None:
        self.obey(program)


class Exclusive(Node, exclusive=True):
    """A node that does one thing at a time."""


class Own(Node, thread="own"):
    """A node with a thread of its own."""


ACTIONS = ("queue", "other", "parallel")
STEPS = st.recursive(
    st.tuples(st.sampled_from(["read", "write", *ACTIONS]), st.integers(0, 4), st.just([])),
    lambda inner: st.tuples(
        st.sampled_from([*ACTIONS, "hold"]),
        st.integers(0, 4),
        st.lists(inner, max_size=2),
    ),
    max_leaves=4,
)
RUNS = st.tuples(st.integers(0, 4), st.sampled_from(ACTIONS), st.lists(STEPS, max_size=3))


def start(manager: ActionManager, thing: Node, action: str, program: list[Any]) -> Invocation:
    descriptor = type(thing).actions[action]
    return manager.invoke_action(descriptor, thing, input=descriptor.input_model(program=program))


@given(
    programs=st.lists(RUNS, min_size=2, max_size=6),
    limit=st.sampled_from([1, 2, 100]),
    cancelled=st.sets(st.integers(0, 5), max_size=2),
)
@settings(max_examples=100)
def test_runs_end_or_are_told_of_a_circle_and_leave_nothing_taken(
    programs: list[tuple[int, str, list[Any]]], limit: int, cancelled: set[int]
) -> None:
    before = set(_waits)  # of other tests in this process
    things = [Node(), Node(), Exclusive(), Exclusive(), Own()]
    for thing in things:
        thing.others = things
    manager = ActionManager(max_concurrent_runs=limit)
    runs = [start(manager, things[which], name, program) for which, name, program in programs]
    for number in cancelled & set(range(len(runs))):
        runs[number].cancel()
    for run in runs:
        run.join(50)
        assert not run.is_alive(), run.record
        if run.status is not InvocationStatus.COMPLETED:
            assert isinstance(run.exception, (ActionBusyError, InvocationCancelledError))
    for run in [start(manager, thing, name, []) for thing in things for name in ACTIONS]:
        run.join(50)
        assert run.status is InvocationStatus.COMPLETED
    assert not set(_waits) - before
