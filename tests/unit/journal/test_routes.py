"""`/journal` on any FastAPI app."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.journal.mutation import MutationRecord
from labthings_fastapi.journal.reader import JournalReader
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.routes import JournaledInvocation, JournalPage
from labthings_fastapi.messages.message import InvocationStatus

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


def run(minutes=0, **changes):
    record = InvocationRecord(
        id=uuid4(),
        thing="stage",
        action="move",
        status=InvocationStatus.COMPLETED,
        requested_by="ada",
        input=b'{"x":1}',
        time_requested=NOON + timedelta(minutes=minutes),
        time_started=NOON + timedelta(minutes=minutes),
        time_ended=NOON + timedelta(minutes=minutes + 1),
        output=b"[1,2]",
        log=({"message": "moved"},),
        boot_id="abc",
    )
    return record._replace(**changes)


def mutation(minutes=0, **changes):
    record = MutationRecord(
        id=uuid4(),
        time=NOON + timedelta(minutes=minutes),
        last_time=NOON + timedelta(minutes=minutes, seconds=1),
        actor="ada",
        address="192.0.2.1",
        thing="stage",
        affordance="speed",
        method="PUT",
        path="/stage/speed",
        status=204,
        count=3,
        boot_id="abc",
    )
    return replace(record, **changes)


@pytest.fixture
def journal():
    return MemoryJournal()


@pytest.fixture
def client(journal):
    app = FastAPI()
    JournalReader(lambda: journal).attach_to_app(app, "/api")
    with TestClient(app) as client:
        yield client


def ids(client, **query):
    answer = client.get("/api/journal", params=query)
    assert answer.status_code == 200, answer.text
    return [str(found.id) for found in JournalPage.model_validate(answer.json()).records]


def test_all_of_a_record_is_returned(client, journal):
    record = run()
    journal.put(record)
    answer = client.get(f"/api/journal/{record.id}")
    assert JournaledInvocation.model_validate(answer.json()).id == record.id
    shown = answer.json()
    assert (shown["input"], shown["output"], shown["log"]) == (
        {"x": 1},
        [1, 2],
        [{"message": "moved"}],
    )
    assert (shown["status"], shown["requestedBy"]) == ("completed", "ada")
    assert shown["timeRequested"] == "2024-05-17T12:00:00+00:00"
    assert client.get(shown["href"]).json() == shown


def test_the_newest_comes_first_and_links_lead_to_all_pages(client, journal):
    records = [run(minutes) for minutes in range(5)]
    for record in records:
        journal.put(record)
    found, url = [], "/api/journal?limit=2&thing=stage"
    while url is not None:
        answer = client.get(url)
        page = answer.json()
        found += [each["id"] for each in page["records"]]
        url = answer.links["next"]["url"] if "next" in answer.links else None
        assert (url is None) == (page["next"] is None)
    assert found == [str(record.id) for record in reversed(records)]


def test_a_mutation_has_the_members_of_a_run(client, journal):
    record = mutation()
    journal.put_mutation(record)
    answer = client.get(f"/api/journal/{record.id}")
    assert JournaledInvocation.model_validate(answer.json()).id == record.id
    summary = {
        "id": str(record.id),
        "thing": "stage",
        "action": "speed",
        "status": "completed",
        "href": f"http://testserver/api/journal/{record.id}",
        "kind": "mutation",
        "requestedBy": "ada",
        "address": "192.0.2.1",
        "request": {"method": "PUT", "path": "/stage/speed", "status": 204, "count": 3},
        "timeRequested": "2024-05-17T12:00:00+00:00",
        "timeStarted": None,
        "timeCompleted": "2024-05-17T12:00:01+00:00",
        "error": None,
        "progressDetail": None,
        "incarnation": "abc",
    }
    rest = {"input": None, "output": None, "outputReference": None, "log": []}
    summary |= {"cancelRequested": False, "partial": False, "resultsDropped": 0}
    summary |= {"detailsDropped": False, "outputsDropped": 0, "pinned": False}
    rest |= {"logDropped": 0, "things": ["stage"]}
    assert answer.json() == summary | rest
    page = client.get("/api/journal?kind=mutation").json()
    assert page == {"records": [summary], "next": None}


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_pages_of_runs_and_mutations_lead_to_all_records(client, journal, limit):
    records = [run(0), mutation(1), mutation(2), run(3), mutation(4)]
    for record in records:
        (journal.put if isinstance(record, InvocationRecord) else journal.put_mutation)(record)
    journal.put(run(5, requested_by="bob"))
    found, url = [], f"/api/journal?actor=ada&limit={limit}"
    while url is not None:
        answer = client.get(url)
        found += [each["id"] for each in answer.json()["records"]]
        url = answer.links["next"]["url"] if "next" in answer.links else None
    assert found == [str(record.id) for record in reversed(records)]


@pytest.mark.parametrize(
    "query",
    [
        {"thing": "camera"},
        {"action": "home"},
        {"status": "error"},
        {"since": "2024-05-17T13:00:00Z"},
        {"until": "2024-05-17T12:00:00Z"},
        {"text": "SMOKE"},
    ],
)
def test_every_filter_is_applied(client, journal, query):
    changes = {
        "thing": {"thing": "camera"},
        "action": {"action": "home"},
        "status": {"status": InvocationStatus.ERROR},
        "since": {"minutes": 60},
        "until": {"minutes": -1},
        "text": {"log": ({"message": "smoke"},)},
    }
    wanted = run(**changes[next(iter(query))])
    journal.put(run())
    journal.put(wanted)
    assert ids(client, **query) == [str(wanted.id)]


def test_a_damaged_output_is_returned_as_text(client, journal):
    record = run(output=b"\xff{", input=b"{")
    journal.put(record)
    assert client.get(f"/api/journal/{record.id}").json()["input"] == "{"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/api/journal/00000000-0000-4000-8000-000000000000", 404),
        ("/api/journal/nonsense", 422),
        ("/api/journal?cursor=invented", 400),
        ("/api/journal?since=2024-05-17T12:00:00", 400),
        ("/api/journal?limit=0", 422),
        ("/api/journal?limit=1001", 422),
        ("/api/journal?status=done", 422),
    ],
)
def test_invalid_requests_are_answered_with_problem_details(client, url, status):
    answer = client.get(url)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_the_openapi_document_describes_the_page(client):
    document = client.get("/openapi.json").json()
    answer = document["paths"]["/api/journal"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/JournalPage")
