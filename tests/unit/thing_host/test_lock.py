"""The server-wide lock: one task at a time moves anything."""

from __future__ import annotations

import asyncio
import threading
from uuid import uuid4

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import FeatureNotEnabledError, GlobalLockBusyError
from labthings_fastapi.invocation_contexts import fake_invocation_context, set_invocation_id
from labthings_fastapi.testing import create_thing_without_server
from labthings_fastapi.thing_host.lock import GlobalLock


def elsewhere(function):
    """Call a function in another thread, outside of any run, and return what it returns."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join(30)
    return found[0]


def refused(function) -> bool:
    def attempt():
        try:
            function()
        except GlobalLockBusyError:
            return True
        return False

    return elsewhere(attempt)


@pytest.fixture
def lock():
    return GlobalLock(default_timeout=0)


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0, gt=0)
    free: int = lt.property(default=0, use_global_lock=False)
    seen: list = lt.property(default_factory=list)

    @lt.property
    def x(self) -> int:
        return 1

    @lt.action
    def move(self, x: int = 1) -> int:
        """Move it."""
        return x

    @lt.action
    def twice(self) -> int:
        self.speed = 3
        return self.move() + self.move()

    @lt.action(use_global_lock=False)
    def look(self) -> str:
        return "seen"

    @lt.action(stop=True)
    def halt(self) -> str:
        self.speed = 0.5
        return "halted"

    @lt.action
    async def later(self) -> int:
        return 2

    @lt.action
    def many(self):
        yield 1


@pytest.fixture
def stage():
    stage = create_thing_without_server(Stage)
    stage._thing_server_interface.global_lock.default_timeout = 0
    return stage


@pytest.fixture
def taken(stage):
    """Let another thread hold the lock of the stage."""
    held, release = threading.Event(), threading.Event()

    def hold():
        with stage._thing_server_interface.global_lock.held("A test"):
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    yield stage
    release.set()
    thread.join()


def test_it_waits_a_moment_by_default():
    assert GlobalLock().default_timeout == 0.05


def test_the_owner_may_take_it_again_and_others_may_not(lock):
    with lock.held("a"), lock.held("b"):
        assert lock.locked
        assert elsewhere(lock.acquire) is False
    assert not lock.locked
    assert refused(lambda: lock.held("c").__enter__()) is False


def test_only_the_owner_can_release_it(lock):
    with pytest.raises(RuntimeError, match="not held here"):
        lock.release()
    lock.acquire()
    with pytest.raises(RuntimeError, match="not held here"):
        elsewhere_raises(lock.release)


def elsewhere_raises(function):
    def attempt():
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            return error
        return None

    error = elsewhere(attempt)
    if error is not None:
        raise error


def test_the_error_names_what_is_refused_and_is_a_timeout(lock):
    elsewhere(lock.acquire)
    with pytest.raises(TimeoutError, match=r"Moving it is refused.*Try again") as caught:
        lock.held("Moving it").__enter__()
    assert caught.value.log_level == 30


def test_a_waiting_caller_gets_it_when_it_is_free(lock):
    lock.acquire()
    asking = threading.Event()
    got = []

    def ask():
        asking.set()
        got.append(lock.acquire(timeout=30))

    thread = threading.Thread(target=ask)
    thread.start()
    asking.wait(30)
    lock.release()
    thread.join(30)
    assert got == [True]


def test_all_threads_of_a_run_pass(lock):
    with fake_invocation_context() as id:
        lock.acquire()

        def in_the_same_run():
            with set_invocation_id(id):
                return lock.acquire()

        assert elsewhere(in_the_same_run) is True
        inner = lt.ThreadWithInvocationID(lock.acquire)
        inner.start()
        inner.join_and_propagate_cancel()
        assert inner.result is True
        assert elsewhere(lock.acquire) is False


def test_all_threads_of_a_run_that_waited_pass_at_once(lock, monkeypatch):
    waiting, wait = threading.Semaphore(0), lock._condition.wait
    both, got, id = threading.Barrier(2), [], uuid4()

    def wait_and_say_so(timeout):
        waiting.release()  # the holder releases the lock when both threads wait
        return wait(timeout)

    def work():
        with set_invocation_id(id):
            got.append(lock.acquire(timeout=20))
            both.wait(30)  # holding it
            lock.release()

    monkeypatch.setattr(lock._condition, "wait", wait_and_say_so)
    assert lock.acquire()
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        waiting.acquire(timeout=30)
    lock.release()
    for thread in threads:
        thread.join(30)
    assert got == [True, True]
    assert not both.broken
    assert not lock.locked


def test_another_run_in_the_same_thread_does_not_pass(lock):
    with fake_invocation_context():
        lock.acquire()
    with fake_invocation_context():
        assert lock.acquire() is False


def test_async_tasks_on_one_loop_keep_each_other_out(lock):
    async def main():
        holds, done = asyncio.Event(), asyncio.Event()

        async def hold():
            with lock.held("A task"):
                holds.set()
                await done.wait()

        task = asyncio.create_task(hold())
        await holds.wait()
        got = lock.acquire()
        done.set()
        await task
        return got, lock.acquire()

    assert asyncio.run(main()) == (False, True)


def test_never_two_at_once():
    """Of many threads, only one holds the lock at a time."""
    lock = GlobalLock(default_timeout=30)
    inside = []
    most = []

    def work():
        for _ in range(50):
            with lock.held("work"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most), lock.locked) == (400, 1, False)


def test_a_property_is_not_set_while_another_holds_the_lock(taken):
    with pytest.raises(GlobalLockBusyError, match="Setting property 'speed' of Thing 'stage'"):
        taken.speed = 2
    with pytest.raises(GlobalLockBusyError):
        taken.properties["speed"].reset()
    assert taken.speed == 1.0


def test_the_lock_comes_before_the_check_of_the_value(taken):
    with pytest.raises(GlobalLockBusyError):
        taken.speed = -1


def test_reading_never_takes_it(taken):
    assert (taken.speed, taken.x, taken.properties["speed"].get()) == (1.0, 1, 1.0)


def test_what_opts_out_passes(taken):
    taken.free = 4
    assert (taken.free, taken.look()) == (4, "seen")


def test_an_emergency_stop_passes_with_all_that_it_does(taken):
    assert (taken.halt(), taken.speed) == ("halted", 0.5)
    with pytest.raises(GlobalLockBusyError):
        taken.speed = 2


def test_a_call_from_python_holds_it_too(taken):
    with pytest.raises(GlobalLockBusyError, match="Action 'move' of Thing 'stage'"):
        taken.move()
    with pytest.raises(GlobalLockBusyError):
        Stage.move(taken, 2)


def test_actions_call_one_another_and_set_properties_under_one_lock(stage):
    assert (stage.twice(), stage.speed) == (2, 3.0)
    assert not stage._thing_server_interface.global_lock.locked


def test_a_bound_method_under_a_lock_still_looks_like_the_method(stage):
    assert stage.move.__self__ is stage
    assert (stage.move.__name__, stage.move.__doc__) == ("move", "Move it.")


def test_without_a_lock_it_is_the_plain_bound_method():
    stage = Stage()
    assert stage.move.__func__ is Stage.move.func


def test_what_only_begins_when_it_is_called_does_not_hold_it(taken):
    assert asyncio.run(taken.later()) == 2
    assert list(taken.many()) == [1]


def test_a_thing_may_hold_it_for_a_while(stage):
    services = stage._thing_server_interface
    with services.hold_global_lock() as held:
        assert held is True
        assert refused(stage.move) is True
    assert refused(stage.move) is False


def test_a_thing_may_try_the_lock_without_an_error(taken):
    services = taken._thing_server_interface
    with services.hold_global_lock(error_if_unavailable=False) as held:
        assert held is False
    with pytest.raises(GlobalLockBusyError), services.hold_global_lock():
        pass


def test_an_error_inside_is_not_taken_for_a_busy_lock(stage):
    services = stage._thing_server_interface
    with (
        pytest.raises(GlobalLockBusyError, match="mine"),
        services.hold_global_lock(error_if_unavailable=False),
    ):
        raise GlobalLockBusyError("mine")


def test_without_a_lock_there_is_nothing_to_wait_for():
    services = create_thing_without_server(Stage, enable_global_lock=False)._thing_server_interface
    assert services.global_lock is None
    with services.hold_global_lock(error_if_unavailable=False) as held:
        assert held is True
    with (
        pytest.raises(FeatureNotEnabledError, match="its server has none"),
        services.hold_global_lock(),
    ):
        pass


def test_it_can_be_used_like_a_lock_of_python():
    lock = GlobalLock(default_timeout=0.05)
    assert lock.acquire(blocking=False)
    assert lock.acquire(True, 0.1)  # it is re-entrant
    lock.release()
    outcomes = []

    def other():
        outcomes.append(lock.acquire(blocking=False))
        outcomes.append(lock.acquire(timeout=0))
        try:
            with lock:
                outcomes.append("held")
        except GlobalLockBusyError as error:
            outcomes.append(str(error))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(30)
    assert outcomes == [False, False, "The global lock could not be acquired."]
    lock.release()
    with lock as held:
        assert held.locked
    assert not lock.locked
