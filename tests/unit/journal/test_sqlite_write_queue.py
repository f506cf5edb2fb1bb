"""What waits for the writer, without a writer."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from threading import Thread
from uuid import UUID

import pytest

from labthings_fastapi.exceptions import ServerNotRunningError, TooBusyError
from labthings_fastapi.journal.keys import IdempotencyKey
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.write_queue import Batch, WriteQueue
from labthings_fastapi.messages.message import InvocationStatus

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


def run(number: int, status: InvocationStatus = InvocationStatus.PENDING) -> InvocationRecord:
    return InvocationRecord(UUID(int=number), "stage", "move", status, None, b"{}", NOON)


def key(number: int) -> IdempotencyKey:
    return IdempotencyKey(f"k{number}", "stage", "move", "f00", UUID(int=number), NOON)


def taken(write_queue: WriteQueue) -> Batch:
    batch = write_queue.take(0)
    assert batch is not None
    return batch


def test_records_of_one_run_take_one_place_and_keep_their_futures() -> None:
    write_queue = WriteQueue()
    futures = [
        write_queue.put_invocation(replace(run(1), progress={"done": done})) for done in range(3)
    ]
    (job,) = taken(write_queue).invocations.values()
    assert job.record.progress == {"done": 2}
    assert job.futures == futures
    job.resolve()
    assert all(future.done() for future in futures)


def test_everything_that_waits_is_taken_at_once() -> None:
    write_queue = WriteQueue()
    for number in range(3):
        write_queue.put_invocation(run(number))
    write_queue.put_key(key(1))
    write_queue.submit(lambda: None)
    batch = taken(write_queue)
    assert (len(batch.invocations), len(batch.keys), len(batch.tasks)) == (3, 1, 1)
    assert write_queue.is_empty


def test_what_waits_cannot_be_cancelled() -> None:
    assert not WriteQueue().put_invocation(run(1)).cancel()


def test_when_full_no_new_run_is_taken_but_the_ends_of_those_that_go_on() -> None:
    write_queue = WriteQueue(capacity=2)
    for number in range(2):
        write_queue.put_invocation(run(number))
    refused = write_queue.put_invocation(run(7))
    with pytest.raises(TooBusyError, match=str(UUID(int=7))):
        refused.result(0)
    assert not write_queue.put_invocation(replace(run(1), progress={"done": 1})).done()
    assert not write_queue.put_invocation(run(8, InvocationStatus.COMPLETED)).done()
    assert set(taken(write_queue).invocations) == {UUID(int=0), UUID(int=1), UUID(int=8)}


def test_memory_is_bounded_for_ends_and_keys_too() -> None:
    write_queue = WriteQueue(capacity=1)
    ends = [write_queue.put_invocation(run(number, InvocationStatus.ERROR)) for number in range(3)]
    keys = [write_queue.put_key(key(number)) for number in range(2)]
    assert [future.done() for future in ends] == [False, False, True]
    assert [future.done() for future in keys] == [False, True]
    assert isinstance(keys[1].exception(0), TooBusyError)


def test_a_closed_inbox_gives_out_what_it_has_and_takes_nothing() -> None:
    write_queue = WriteQueue()
    write_queue.put_invocation(run(1))
    write_queue.close()
    assert list(taken(write_queue).invocations) == [UUID(int=1)]
    assert write_queue.take(None) is None
    futures: list[Future[None] | Future[IdempotencyKey]]
    futures = [
        write_queue.put_invocation(run(2)),
        write_queue.put_key(key(2)),
        write_queue.submit(lambda: None),
    ]
    assert all(isinstance(future.exception(0), ServerNotRunningError) for future in futures)


@pytest.mark.parametrize("failure", [ValueError, SystemExit, KeyboardInterrupt])
def test_whoever_fails_when_told_of_a_record_harms_no_other(
    failure: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Future[None]) -> None:
        raise failure

    write_queue = WriteQueue()
    futures = [write_queue.put_invocation(run(1)), write_queue.put_invocation(run(1))]
    futures[0].add_done_callback(fail)
    (job,) = taken(write_queue).invocations.values()
    job.resolve()
    assert all(future.done() for future in futures)
    assert caplog.records


def test_nobody_waits_for_more_once_it_is_closed() -> None:
    write_queue = WriteQueue()
    waiter = Thread(target=write_queue.wait_for_more, args=(600,), daemon=True)
    waiter.start()
    write_queue.close()
    waiter.join(60)
    assert not waiter.is_alive()
