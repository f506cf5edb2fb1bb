"""One run, as the contract describes it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import math
import threading
import uuid
import weakref
from concurrent.futures import Future
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr

import labthings_fastapi as lt
from labthings_fastapi.actions import ActionManager, Invocation, InvocationStatus
from labthings_fastapi.actions.cancellation import CancelEvent
from labthings_fastapi.actions.context import (
    current_invocation,
    get_cancel_event,
    get_invocation_id,
    shield,
)
from labthings_fastapi.actions.invocation_model import InvocationModel
from labthings_fastapi.decorators import action
from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    InvocationCancelledError,
    InvocationError,
    LabThingsError,
)
from labthings_fastapi.thing import Thing

from .conftest import Bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.actions.context import InvocationContext


class Pair(BaseModel):
    """An input that no signature made."""

    a: int
    b: int = 10


def ended(invocation: Invocation) -> Invocation:
    invocation.start()
    invocation.join(30)
    assert not invocation.is_alive()
    return invocation


# --- how it is made -----------------------------------------------------------------------


def test_its_parameters_stand_in_the_order_of_the_contract() -> None:
    parameters = list(inspect.signature(Invocation).parameters.values())
    assert [parameter.name for parameter in parameters] == [
        "action",
        "thing",
        "input",
        "dependencies",
        "default_stop_timeout",
        "log_len",
        "id",
        "cancel_hook",
    ]
    assert [parameter.default for parameter in parameters[2:]] == [None, None, 5, 1000, None, None]
    assert {parameter.kind for parameter in parameters} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_it_takes_everything_by_position_and_by_name(thing: Bench) -> None:
    id, hook = uuid.uuid4(), CancelEvent()
    given = (Bench.add, thing, Pair(a=1), {"b": 2}, 1.5, 10, id, hook)
    names = [*inspect.signature(Invocation).parameters]
    for invocation in (Invocation(*given), Invocation(**dict(zip(names, given, strict=True)))):
        assert invocation.id == id
        assert invocation.default_stop_timeout == 1.5
        assert ended(invocation).output == 3


def test_it_is_a_daemon_thread_that_begins_when_started(thing: Bench) -> None:
    invocation = Invocation(Bench.hold, thing)
    assert isinstance(invocation, threading.Thread)
    assert invocation.daemon
    assert not invocation.is_alive()
    assert invocation.status is InvocationStatus.PENDING
    invocation.start()
    assert thing.entered.wait(30)
    assert invocation.is_alive()
    assert invocation.status is InvocationStatus.RUNNING
    invocation.join(0)
    thing.gate.set()
    invocation.join(30)
    assert not invocation.is_alive()
    assert invocation.status is InvocationStatus.COMPLETED


def test_its_id_is_fresh_unless_given(thing: Bench) -> None:
    one, other = Invocation(Bench.add, thing), Invocation(Bench.add, thing)
    assert one.id != other.id
    assert one.id.version == 4


def test_without_an_input_it_has_an_empty_one(thing: Bench) -> None:
    invocation = Invocation(Bench.call, thing)
    assert isinstance(invocation.input, BaseModel)
    assert invocation.input.model_dump() == {}


@pytest.mark.parametrize(
    "name",
    ["id", "output", "log", "status", "action", "thing", "progress", "phase", "exception"],
)
def test_its_properties_cannot_be_set(thing: Bench, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Invocation(Bench.add, thing), name, None)


def test_before_the_end_there_is_no_output(holding: Invocation, thing: Bench) -> None:
    assert holding.output is None
    assert holding.phase == "running"
    thing.gate.set()
    assert holding.wait(30)
    assert holding.output == "held"
    assert holding.phase == "finished"


def test_dependencies_are_keyword_arguments_and_go_before_the_input(thing: Bench) -> None:
    given = {"b": 2}
    invocation = Invocation(Bench.add, thing, Pair(a=1, b=50), given)
    given["b"] = 99
    assert ended(invocation).output == 3


def test_a_dependency_may_learn_its_run(thing: Bench) -> None:
    class Nosy(int):
        def enter_invocation(self, run: InvocationContext) -> None:
            learned.append(run)

    learned: list[InvocationContext] = []
    invocation = ended(Invocation(Bench.add, thing, Pair(a=1), {"b": Nosy(5)}))
    assert [run.id for run in learned] == [invocation.id]


def test_run_may_be_called_in_the_callers_thread(thing: Bench) -> None:
    thing.code = threading.current_thread
    invocation = Invocation(Bench.call, thing)
    invocation.run()
    assert invocation.status is InvocationStatus.ERROR  # a thread has no JSON form
    thing.code = lambda: threading.current_thread().name
    invocation = Invocation(Bench.call, thing)
    invocation.run()
    assert invocation.output == threading.current_thread().name


# --- weak references ----------------------------------------------------------------------


def test_it_does_not_keep_its_action_and_thing_alive() -> None:
    thing = Bench()
    thing.code = lambda: 5
    descriptor = ActionDescriptor(lambda self: self.code())
    invocation = ended(Invocation(descriptor, thing))
    assert invocation.action is descriptor
    assert invocation.thing is thing
    gone = weakref.ref(thing), weakref.ref(descriptor)
    del thing, descriptor
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    with pytest.raises(LabThingsError, match="no longer exists"):
        _ = invocation.action
    with pytest.raises(LabThingsError, match="no longer exists"):
        _ = invocation.thing
    assert not invocation.belongs_to(thing=Bench())


def test_the_response_of_a_run_whose_action_is_gone_is_still_made() -> None:
    descriptor: Any = ActionDescriptor(lambda self: 5)
    thing = Bench()
    invocation = ended(Invocation(descriptor, thing))
    del descriptor
    gc.collect()
    assert invocation.response().model_dump()["output"] == 5


def test_its_action_and_thing_live_while_it_runs() -> None:
    begun, gate = threading.Event(), threading.Event()

    class Brief(Thing):
        pass

    def code(self: Thing) -> str:
        begun.set()
        gate.wait(30)
        return self.name

    invocation = Invocation(ActionDescriptor(code), (kept := Brief()))
    del kept
    gc.collect()
    with pytest.raises(LabThingsError, match="no longer exists"):
        invocation.start()
    assert invocation.status is InvocationStatus.ERROR

    descriptor, thing = ActionDescriptor(code), Brief()
    invocation = Invocation(descriptor, thing)
    invocation.start()
    del descriptor, thing
    assert begun.wait(30)
    gc.collect()
    gate.set()
    invocation.join(30)
    assert invocation.output == "Brief"


# --- starting -----------------------------------------------------------------------------


def test_it_starts_once(holding: Invocation) -> None:
    with pytest.raises(RuntimeError, match="once"):
        holding.start()
    assert holding.phase == "running"
    assert holding.is_alive()


def test_without_a_thread_it_ends_as_an_error(
    thing: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    invocation = Invocation(Bench.call, thing)
    with pytest.raises(RuntimeError, match="can't start"):
        invocation.start()
    assert invocation.status is InvocationStatus.ERROR
    assert invocation.wait(0)


@pytest.mark.parametrize("cancelled", [False, True])
def test_it_can_be_cancelled_and_joined_while_its_thread_is_being_started(
    thing: Bench, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    invocation = Invocation(Bench.call, thing)
    alive: list[bool] = []
    tell = threading.Event.set

    def ask_first(event: threading.Event) -> None:
        # By this event a new thread says that it has started; it has its ident by then.
        if threading.get_ident() == invocation.ident and invocation.phase == "starting":
            if cancelled:
                invocation.cancel()
                requester = threading.Thread(target=join)
                requester.start()
                requester.join(30)
            alive.append(invocation.is_alive())
        tell(event)

    def join() -> None:
        invocation.join(30)
        joined.append(True)

    joined: list[bool] = []
    monkeypatch.setattr(threading.Event, "set", ask_first)
    invocation.start()
    invocation.join(30)
    assert alive == [not cancelled]
    assert joined == [True] * cancelled


def test_code_starts_after_the_record_is_committed(thing: Bench) -> None:
    commit: Future[None] = Future()
    thing.code = commit.done
    invocation = Invocation(Bench.call, thing)
    invocation.begin_after(commit)
    invocation.start()
    assert invocation.status is InvocationStatus.PENDING
    commit.set_result(None)
    invocation.join(30)
    assert invocation.output is True


def test_if_the_record_cannot_be_committed_nothing_moves(thing: Bench) -> None:
    commit: Future[None] = Future()
    commit.set_exception(OSError(28, "No space left on device"))
    moved: list[int] = []
    thing.code = lambda: moved.append(1)
    invocation = Invocation(Bench.call, thing)
    invocation.begin_after(commit)
    ended(invocation)
    assert moved == []
    assert invocation.status is InvocationStatus.ERROR
    assert invocation.record.error is not None
    assert invocation.record.error["status"] == 507
    assert invocation.record.time_started is None


def test_a_log_handler_that_raises_does_not_keep_others_from_learning_of_a_commit(
    let_logging_fail: Callable[[str, BaseException], None],
) -> None:
    """An emergency stop logs that it is not recorded, on the thread that notifies all others."""

    class Press(Thing):
        @action(stop=True)
        def halt(self) -> None:
            """Stand still."""

    commit: Future[None] = Future()
    press = Press()
    invocation = Invocation(Press.halt, press)
    invocation.begin_after(commit)
    ended(invocation)
    notified = threading.Event()
    commit.add_done_callback(lambda _: notified.set())
    let_logging_fail("labthings_fastapi.things", SystemExit(1))
    commit.set_exception(OSError(28, "No space left on device"))
    assert notified.is_set()


def test_cancelling_before_the_commit_is_done_does_not_wait_for_it(thing: Bench) -> None:
    invocation = Invocation(Bench.call, thing)
    invocation.begin_after(Future())
    cancelled: list[bool] = []
    thread = threading.Thread(target=lambda: cancelled.append(invocation.cancel()), daemon=True)
    thread.start()
    thread.join(30)
    assert cancelled == [True]
    assert invocation.snapshot().status is InvocationStatus.CANCELLED


def test_a_commit_that_fails_after_the_start_ends_the_run_and_frees_its_group() -> None:
    class Press(Thing):
        @action(concurrency="queue", group="press")
        def close(self) -> None:
            """Move."""
            moved.append("closed")

        @action(concurrency="queue", group="press")
        def open(self) -> str:
            """Move too."""
            return "opened"

    moved: list[str] = []
    commit: Future[None] = Future()
    press = Press()
    invocation, following = Invocation(Press.close, press), Invocation(Press.open, press)
    invocation.begin_after(commit)
    invocation.start()
    following.start()
    assert (invocation.phase, following.phase) == ("starting", "queued")
    error = OSError(28, "No space left on device")
    commit.set_exception(error)
    invocation.join(30)
    following.join(30)
    record = invocation.snapshot()
    assert (moved, record.status, record.time_started) == ([], InvocationStatus.ERROR, None)
    assert record.error is not None
    assert record.error["status"] == 507
    assert invocation.commit is not None
    assert invocation.commit.exception(0) is error  # so that a POST is answered with 507
    assert following.output == "opened"


# --- cancelling ---------------------------------------------------------------------------


def test_without_a_hook_it_makes_one_so_that_the_context_functions_work(thing: Bench) -> None:
    thing.code = lambda: (get_cancel_event().id == get_invocation_id(),)
    assert ended(Invocation(Bench.call, thing)).output == (True,)


def test_a_hook_that_is_given_is_the_one_that_is_set(thing: Bench) -> None:
    hook = CancelEvent()
    begun = threading.Event()

    def code() -> None:
        assert get_cancel_event() is hook
        begun.set()
        hook.sleep(60)

    thing.code = code
    invocation = Invocation(Bench.call, thing, cancel_hook=hook)
    invocation.start()
    assert begun.wait(30)
    assert invocation.cancel()
    invocation.join(30)
    assert invocation.status is InvocationStatus.CANCELLED
    assert invocation.output is None
    assert isinstance(invocation.exception, InvocationCancelledError)
    assert invocation.record.error is not None
    assert invocation.record.error["type"].endswith("cancelled")


def test_cancelling_shows_at_once_whether_or_not_the_code_reacts(
    holding: Invocation, thing: Bench
) -> None:
    assert holding.cancel()
    assert holding.cancel()
    assert (holding.status, holding.phase) == (InvocationStatus.RUNNING, "cancelling")
    thing.gate.set()
    holding.join(30)
    assert holding.status is InvocationStatus.COMPLETED
    assert holding.output == "held"
    assert holding.record.cancel_requested
    assert not holding.cancel()


def test_cancelled_before_it_began_it_never_begins(thing: Bench) -> None:
    moved: list[int] = []
    thing.code = lambda: moved.append(1)
    invocation = Invocation(Bench.call, thing)
    assert invocation.cancel()
    ended(invocation)
    assert moved == []
    assert invocation.status is InvocationStatus.CANCELLED
    assert invocation.record.time_started is None
    assert invocation.record.time_ended is not None


def test_a_request_that_comes_twice_before_its_delivery_is_delivered_once(
    begin: Callable[..., Invocation],
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def code() -> int:
        delivered = 0
        begun.set()
        assert go_on.wait(30)
        for _ in range(2):
            try:
                get_cancel_event().sleep(0.001)
            except InvocationCancelledError:
                delivered += 1
        return delivered

    invocation = begin(code)
    assert begun.wait(30)
    assert invocation.cancel()
    assert invocation.cancel()
    go_on.set()
    invocation.join(30)
    assert invocation.output == 1


def test_a_request_after_the_delivery_of_one_stops_the_clean_up(
    begin: Callable[..., Invocation],
) -> None:
    begun, cleaning = threading.Event(), threading.Event()

    def code() -> None:
        begun.set()
        try:
            get_cancel_event().sleep(60)
        finally:
            cleaning.set()
            get_cancel_event().sleep(60)

    invocation = begin(code)
    assert begun.wait(30)
    invocation.cancel()
    assert cleaning.wait(30)
    assert invocation.is_alive()
    assert invocation.cancel()
    invocation.join(30)
    assert invocation.status is InvocationStatus.CANCELLED


class Heater(lt.Thing):
    def __init__(self) -> None:
        super().__init__()
        self.hot = True
        self.go_on = threading.Event()

    @lt.action(timeout=0.05)
    def heat(self) -> None:
        lt.cancellable_sleep(60)

    @lt.action(timeout=0.05)
    async def heat_slowly(self) -> None:
        await asyncio.sleep(60)

    @lt.action(timeout=0.05)
    def finish_anyway(self) -> str:
        while not get_cancel_event().is_set():
            self.go_on.wait(0.005)
        return "warm"

    @lt.action(timeout=60)
    def warm(self) -> str:
        return "warm"

    def safe_state(self) -> None:
        self.hot = False


@pytest.mark.parametrize("action", [Heater.heat, Heater.heat_slowly])
def test_a_run_that_takes_longer_than_its_timeout_is_cancelled_made_safe_and_says_why(
    action: Any,
) -> None:
    heater = Heater()
    invocation = ActionManager().invoke_action(action, heater)
    invocation.join(30)
    assert invocation.status is InvocationStatus.CANCELLED
    assert invocation.record.error is not None
    assert invocation.record.error["type"] == "urn:labthings:problem:timed-out"
    assert "0.05 s" in invocation.record.error["detail"]
    assert "longer than 0.05 s" in invocation.log[-1].getMessage()
    assert not heater.hot


def test_code_that_finishes_in_spite_of_its_timeout_has_completed() -> None:
    invocation = ActionManager().invoke_action(Heater.finish_anyway, Heater())
    invocation.join(30)
    assert (invocation.status, invocation.output) == (InvocationStatus.COMPLETED, "warm")
    assert invocation.record.cancel_requested


def test_a_run_that_ends_before_its_timeout_is_not_kept_until_then() -> None:
    heater = Heater()
    invocation = ended(Invocation(Heater.warm, heater))
    assert invocation.output == "warm"
    found = weakref.ref(invocation)
    del invocation
    gc.collect()
    assert found() is None


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan])
def test_a_timeout_is_a_positive_number_of_seconds(timeout: float) -> None:
    with pytest.raises(AffordanceDefinitionError, match=r"move.*timeout=.*positive number"):

        @lt.action(timeout=timeout)
        def move(self: Any) -> None: ...


def test_a_shielded_section_is_not_torn(begin: Callable[..., Invocation]) -> None:
    begun, gate, passed = threading.Event(), threading.Event(), []

    def code() -> None:
        with shield():
            begun.set()
            assert gate.wait(30)
            get_cancel_event().raise_if_set()
            passed.append("inside")
        passed.append("after")

    invocation = begin(code)
    assert begun.wait(30)
    invocation.cancel()
    gate.set()
    invocation.join(30)
    assert passed == ["inside"]
    assert invocation.status is InvocationStatus.CANCELLED


# --- its view -----------------------------------------------------------------------------


def test_the_response_without_a_request(thing: Bench) -> None:
    invocation = ended(Invocation(Bench.add, thing, Bench.add.input_model(a=1)))
    view: Any = invocation.response()
    assert isinstance(view, Bench.add.invocation_model)
    assert view.href == f"/action_invocations/{invocation.id}"
    assert [(link.rel, link.href) for link in view.links] == [
        ("self", view.href),
        ("output", f"{view.href}/output"),
    ]
    assert view.action == f"{thing.path}add"
    assert (view.id, view.status, view.output) == (invocation.id, InvocationStatus.COMPLETED, 2)
    assert view.input == invocation.input
    assert view.timeRequested <= view.timeStarted <= view.timeCompleted
    assert (view.error, view.phase, view.log) == (None, "finished", [])


def test_the_response_with_a_request(thing: Bench) -> None:
    class Request:
        def url_for(self, name: str, /, **path_params: Any) -> str:
            return f"http://lab/{name}/{path_params['id']}"

    invocation = Invocation(Bench.add, thing)
    for view in (invocation.response(Request()), invocation.response(request=Request())):
        href = f"http://lab/action_invocation/{invocation.id}"
        assert view.model_dump()["href"] == href
        assert view.model_dump()["links"][1] == {"rel": "output", "href": f"{href}/output"}


def test_the_response_of_a_run_in_progress(holding: Invocation) -> None:
    view: Any = holding.response()
    assert (view.status, view.output, view.timeCompleted) == (InvocationStatus.RUNNING, None, None)
    again = InvocationModel.model_validate_json(view.model_dump_json())
    assert again.id == holding.id


def test_the_response_of_a_failed_run(run: Callable[..., Invocation]) -> None:
    def code() -> None:
        raise InvocationError("jammed")

    invocation = run(code)
    view = invocation.response().model_dump(mode="json")
    assert view["status"] == "error"
    assert view["error"]["detail"] == "jammed"
    assert [line["message"] for line in view["log"]] == [
        "Bench.call failed: InvocationError: jammed"
    ]
    assert view["log"][0]["traceback"] is None


def test_the_log_keeps_the_newest(thing: Bench) -> None:
    def code() -> None:
        for number in range(10):
            thing.logger.info("%d", number)

    thing.code = code
    invocation = ended(Invocation(Bench.call, thing, log_len=3))
    assert all(isinstance(kept, logging.LogRecord) for kept in invocation.log)
    assert [kept.getMessage() for kept in invocation.log] == ["7", "8", "9"]
    assert invocation.record.log_dropped == 7


def test_the_response_is_an_invocation_model(thing: Bench) -> None:
    for made in (Bench.add, Bench.call):
        assert isinstance(Invocation(made, thing).response(), InvocationModel)


# --- input --------------------------------------------------------------------------------


def test_an_input_that_cannot_be_written_is_described(thing: Bench) -> None:
    class Odd(BaseModel):
        value: Any

    invocation = Invocation(Bench.add, thing, Odd(value=object()))
    assert b"unserialisable" in invocation.record.input
    assert Invocation(Bench.add, thing, Odd(value="\ud800")).record.input


def test_numbers_that_json_has_not_are_written_as_words(thing: Bench) -> None:
    class Range(BaseModel):
        most: float

    invocation = Invocation(Bench.add, thing, Range(most=float("inf")))
    assert invocation.record.input == b'{"most":"Infinity"}'


# --- what it keeps ------------------------------------------------------------------------


def test_a_run_without_arguments_records_an_empty_input(thing: Bench) -> None:
    assert Invocation(Bench.hold, thing).record.input == b"{}"
    assert Invocation(Bench.hold, thing, input=Bench.hold.input_model()).record.input == b"{}"


def test_inputs_that_hold_something_are_each_runs_own(thing: Bench) -> None:
    class Noted(BaseModel):
        _note: str = PrivateAttr(default="")

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    for given in (Bench.add.input_model(a=1), Noted(), Open(x=1)):
        assert Invocation(Bench.add, thing, input=given).input is given


def test_a_model_without_room_for_weak_references_is_an_input_too(thing: Bench) -> None:
    class Tight(BaseModel):
        __slots__ = ()

    given = Tight()
    assert Invocation(Bench.hold, thing, input=given).input == given


def test_a_run_that_has_ended_keeps_no_dependency_alive(thing: Bench) -> None:
    class Driver:
        def __radd__(self, other: int) -> int:
            return other + 5

    driver = Driver()
    alive: list[str] = []
    weakref.finalize(driver, alive.append, "released")
    invocation = ended(Invocation(Bench.add, thing, Pair(a=1), {"b": driver}))
    del driver
    gc.collect()
    assert alive == ["released"]
    assert invocation.output == 6


@pytest.mark.usefixtures("_no_other_handlers")
def test_an_exception_is_kept_without_what_its_frames_held(thing: Bench) -> None:
    class Frame:
        pass

    released: list[str] = []

    def code() -> None:
        frame = Frame()
        weakref.finalize(frame, released.append, "frame")
        raise ValueError("jammed")

    thing.code = code
    invocation = ended(Invocation(Bench.call, thing))
    gc.collect()
    assert isinstance(invocation.exception, ValueError)
    assert released == ["frame"]


def test_threads_that_ask_for_the_files_of_an_ended_run_at_once_get_the_same(
    run: Callable[..., Invocation],
) -> None:
    for _ in range(50):
        invocation, ready, found = run(lambda: None), threading.Barrier(4), []

        def ask(invocation: Invocation = invocation) -> None:
            ready.wait(30)  # noqa: B023
            found.append(invocation.files)  # noqa: B023

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(files is invocation.files for files in found)


def test_what_a_thread_reports_after_its_run_has_ended_changes_no_run(
    thing: Bench, run: Callable[..., Invocation]
) -> None:
    held: list[InvocationContext] = []
    first = run(lambda: held.append(cast("InvocationContext", current_invocation())))
    assert held[0].progress is not None
    held[0].progress.report(1, 2, None, None)
    assert (first.progress, run(lambda: None).progress) == (None, None)


def test_many_may_wait_for_one_end_and_some_may_be_removed(thing: Bench) -> None:
    waiting = Invocation(Bench.hold, thing)
    called: list[int] = []
    forgets = [waiting.on_end(lambda n=n: called.append(n)) for n in range(3)]  # type: ignore[misc]
    forgets[1]()
    waiting.cancel()
    waiting.on_end(lambda: called.append(9))
    forgets[0]()
    assert called == [0, 2, 9]
    assert waiting.wait(0)


def test_code_that_logs_finds_the_action_and_the_thing_of_an_invocation(thing: Bench) -> None:
    invocation = Invocation(Bench.add, thing, Bench.add.input_model(a=1), {"more": 2})
    assert invocation.action_ref().name == "add"
    assert invocation.thing_ref() is thing
    assert invocation.dependencies == {"more": 2}
    assert invocation.cancel_hook is not None
    assert invocation.expiry_time is None
    ended(invocation)
    assert (invocation.dependencies, invocation.cancel_hook) == ({}, None)
    ended_at = invocation.record.time_ended
    assert ended_at is not None
    assert invocation.expiry_time == ended_at + timedelta(seconds=invocation.retention_time)


def test_the_entry_of_an_action_on_its_thing_can_be_invoked(thing: Bench) -> None:
    invocation = ended(Invocation(thing.actions["add"], thing, Bench.add.input_model(a=1)))
    assert invocation.status is InvocationStatus.COMPLETED
    assert invocation.action is Bench.add
    assert invocation.error_model is None
