"""An invocation that is in the journal only."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from labthings_fastapi.actions.recorded_invocation import recorded_invocation
from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.outputs.blob import BlobBytes
from labthings_fastapi.outputs.kept import KeptOutputs

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal(outputs=KeptOutputs())


def put(journal: MemoryJournal, **changes: Any) -> InvocationRecord:
    record = InvocationRecord(
        id=uuid.uuid4(),
        thing="stage",
        action="move",
        status=InvocationStatus.COMPLETED,
        requested_by=None,
        input=b"{}",
        time_requested=NOON,
        time_started=NOON,
        boot_id="this",
    )
    record = record._replace(**changes)
    journal.put(record).result(0)
    return record


def test_its_path_is_that_of_the_action(journal: MemoryJournal) -> None:
    found = recorded_invocation(journal, put(journal).id, "/api", "this")
    assert found is not None
    assert found.snapshot().action_path == "/api/stage/move"
    assert found.snapshot(log=True) is found.record


def test_it_has_ended_and_cannot_be_cancelled(journal: MemoryJournal) -> None:
    found = recorded_invocation(journal, put(journal).id, "", "this")
    assert found is not None
    ended: list[int] = []
    found.on_end(lambda: ended.append(1))()
    assert ended == [1]
    assert not found.cancel()


def test_an_unknown_one_is_none(journal: MemoryJournal) -> None:
    assert recorded_invocation(journal, uuid.uuid4(), "", "this") is None


def test_an_open_one_of_this_start_is_not_known_by_its_record(journal: MemoryJournal) -> None:
    record = put(journal, status=InvocationStatus.RUNNING)
    assert recorded_invocation(journal, record.id, "", "this") is None


def test_one_that_could_not_be_marked_as_interrupted_is_shown_so(journal: MemoryJournal) -> None:
    record = put(journal, status=InvocationStatus.RUNNING, boot_id="earlier")
    found = recorded_invocation(journal, record.id, "", "this")
    assert found is not None
    assert found.record.status is InvocationStatus.ERROR
    assert found.record.error is not None
    assert found.record.error["type"].endswith(":interrupted")


def test_a_large_output_is_as_it_was(journal: MemoryJournal) -> None:
    reference = {"size": 3, "media_type": "application/json", "kept": True}
    record = put(journal, output_reference=reference)
    assert journal.outputs is not None
    journal.outputs.keep_output(record.id, b'"x"')
    found = recorded_invocation(journal, record.id, "", "this")
    assert found is not None
    assert (found.record.output, found.record.output_reference) == (b'"x"', None)


def test_an_output_that_is_no_longer_on_the_disk_is_a_reference(journal: MemoryJournal) -> None:
    reference = {"size": 3, "media_type": "application/json", "kept": True}
    record = put(journal, output_reference=reference)
    found = recorded_invocation(journal, record.id, "", "this")
    assert found is not None
    assert (found.record.output, found.record.output_reference) == (None, reference)


def test_a_blob_is_as_it_was(journal: MemoryJournal) -> None:
    id = uuid.uuid4()
    assert journal.outputs is not None
    data = BlobBytes(b"pixels", "image/png")
    journal.outputs.keep_blob(id, data)
    reference = {"size": 6, "media_type": "image/png", "blob": data.id.hex}
    put(journal, id=id, output=b'{"href":"..."}', output_reference=reference)
    found = recorded_invocation(journal, id, "", "this")
    assert found is not None
    assert found.output.content == b"pixels"
    assert found.record.output == b'{"href":"..."}'


def test_its_files_are_those_that_it_left(journal: MemoryJournal) -> None:
    with_files, without = put(journal), put(journal)
    assert journal.outputs is not None
    (journal.outputs.files_folder(with_files.id) / "a.txt").write_text("a")
    for record, names in ((with_files, ["a.txt"]), (without, [])):
        found = recorded_invocation(journal, record.id, "", "this")
        assert found is not None
        assert found.files.names() == names


def test_what_a_run_left_goes_with_its_record_in_memory() -> None:
    journal = MemoryJournal(1, outputs=KeptOutputs())
    assert journal.outputs is not None
    first = put(journal)
    data = BlobBytes(b"pixels", "image/png")
    journal.outputs.keep_blob(first.id, data)
    put(journal)
    assert recorded_invocation(journal, first.id, "", "this") is None
    assert journal.outputs.find_blob(data.id) is None
