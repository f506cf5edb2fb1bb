"""The examples run as they are written."""

from __future__ import annotations

import runpy
from pathlib import Path

from fastapi.testclient import TestClient

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_bare_fastapi_app_runs_actions_in_35_lines():
    source = (EXAMPLES / "bare_app.py").read_text("utf-8")
    assert len(source.splitlines()) <= 40
    app = runpy.run_path(str(EXAMPLES / "bare_app.py"))["app"]
    # No `with`: the contract holds although no lifespan runs.
    client = TestClient(app)
    started = client.post("/bake", json={"minutes": 0.001})
    assert started.status_code == 201
    run = client.get(started.json()["href"], headers={"Prefer": "wait=30"}).json()
    assert run["status"] == "completed"
    assert run["output"] == "golden brown"
    assert run["progress"] == 100
    assert [line["message"] for line in run["log"]] == ["Done after 0.001 minutes."]
    assert client.get(f"{started.json()['href']}/output").json() == "golden brown"


def test_a_run_in_a_bare_app_can_be_cancelled():
    client = TestClient(runpy.run_path(str(EXAMPLES / "bare_app.py"))["app"])
    href = client.post("/bake", json={"minutes": 60}).json()["href"]
    assert client.delete(href).status_code == 204
    run = client.get(href, headers={"Prefer": "wait=30"}).json()
    assert run["status"] == "cancelled"
    assert client.delete(href).status_code == 409
