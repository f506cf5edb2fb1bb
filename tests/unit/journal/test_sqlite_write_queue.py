"""The queue of the writer, without a writer."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from labthings_fastapi.exceptions import ServerNotRunningError, TooBusyError
from labthings_fastapi.journal.keys import IdempotencyKey
from labthings_fastapi.journal.mutation import MutationRecord
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.write_queue import Batch, WriteQueue
from labthings_fastapi.messages.message import InvocationStatus

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


def run(number: int, status: InvocationStatus = InvocationStatus.PENDING) -> InvocationRecord:
    return InvocationRecord(UUID(int=number), "stage", "move", status, None, b"{}", NOON)


def key(number: int) -> IdempotencyKey:
    return IdempotencyKey(f"k{number}", "stage", "move", "f00", UUID(int=number), NOON)


def mutation(number: int) -> MutationRecord:
    return MutationRecord(
        *(UUID(int=number), NOON, NOON, "ada", None, "stage", "speed", "PUT", "/stage/speed", 204)
    )


def taken(write_queue: WriteQueue) -> Batch:
    batch = write_queue.take(0)
    assert batch is not None
    return batch


def test_records_of_one_invocation_share_a_job_and_its_commit() -> None:
    write_queue = WriteQueue()
    futures = [
        write_queue.put_invocation(run(1)._replace(progress={"done": done})) for done in range(3)
    ]
    (job,) = taken(write_queue).invocations.values()
    assert job.record.progress == {"done": 2}
    job.resolve()
    assert all(future.done() for future in futures)


def test_everything_is_taken_at_once() -> None:
    write_queue = WriteQueue()
    for number in range(3):
        write_queue.put_invocation(run(number))
    write_queue.put_key(key(1))
    write_queue.put_mutation(mutation(1))
    write_queue.submit(lambda: None)
    batch = taken(write_queue)
    sizes = [len(batch.invocations), len(batch.keys), len(batch.mutations), len(batch.tasks)]
    assert sizes == [3, 1, 1, 1]
    assert write_queue.is_empty


def test_a_waiting_record_cannot_be_cancelled() -> None:
    assert not WriteQueue().put_invocation(run(1)).cancel()


def test_a_full_queue_accepts_no_new_invocations_but_the_ends_of_others() -> None:
    write_queue = WriteQueue(capacity=2)
    for number in range(2):
        write_queue.put_invocation(run(number))
    refused = write_queue.put_invocation(run(7))
    with pytest.raises(TooBusyError, match=str(UUID(int=7))):
        refused.result(0)
    assert not write_queue.put_invocation(run(1)._replace(progress={"done": 1})).done()
    assert not write_queue.put_invocation(run(8, InvocationStatus.COMPLETED)).done()
    assert set(taken(write_queue).invocations) == {UUID(int=0), UUID(int=1), UUID(int=8)}


def test_final_records_and_keys_and_mutations_are_limited_too() -> None:
    write_queue = WriteQueue(capacity=1)
    ends = [write_queue.put_invocation(run(number, InvocationStatus.ERROR)) for number in range(3)]
    keys = [write_queue.put_key(key(number)) for number in range(2)]
    mutations = [write_queue.put_mutation(mutation(number)) for number in range(2)]
    assert [future.done() for future in ends] == [False, False, True]
    for futures in (keys, mutations):
        assert [future.done() for future in futures] == [False, True]
        assert isinstance(futures[1].exception(0), TooBusyError)


def test_a_closed_queue_can_be_emptied_and_accepts_nothing() -> None:
    write_queue = WriteQueue()
    write_queue.put_invocation(run(1))
    write_queue.close()
    assert list(taken(write_queue).invocations) == [UUID(int=1)]
    assert write_queue.take(None) is None
    futures: list[Future[Any]] = [
        write_queue.put_invocation(run(2)),
        write_queue.put_key(key(2)),
        write_queue.put_mutation(mutation(2)),
        write_queue.submit(lambda: None),
    ]
    assert all(isinstance(future.exception(0), ServerNotRunningError) for future in futures)


@pytest.mark.parametrize("failure", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_callback_that_fails_does_not_harm_others(
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
