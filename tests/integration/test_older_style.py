"""A laboratory's Things in the older style run as they are, whatever their module's annotations."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from labthings_fastapi.server import ThingServer

SOURCE = Path(__file__).with_name("older_lab.py").read_text("utf-8")


@pytest.fixture(params=["text annotations", "annotations"])
def lab(request, tmp_path):
    """The module, with `from __future__ import annotations` and without."""
    future = "from __future__ import annotations\n"
    assert future in SOURCE
    source = SOURCE if request.param == "text annotations" else SOURCE.replace(future, "")
    name = f"older_lab_{request.param.partition(' ')[0]}"
    file = tmp_path / f"{name}.py"
    file.write_text(source, "utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.fixture
def make_server(lab, tmp_path):
    def make():
        server = ThingServer({"settings_folder": tmp_path / "settings"})
        server.add_thing(lab.Stage(), "/stage/")
        server.add_thing(lab.Camera(best=60), "/camera/")
        server.add_thing(lab.Autofocus(), "/autofocus/")
        return server

    return make


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def client(server):
    with TestClient(server.app) as client:
        yield client


def test_an_action_drives_other_things_in_its_own_run(client, ended):
    run = ended(client, client.post("/autofocus/look_and_move", json={"dz": 100}).json()["href"])
    assert run["status"] == "completed", run
    assert run["input"] == {"dz": 100, "steps": 5}
    assert run["output"]["heights"] == [0, 20, 40, 60, 80]
    assert [record["message"] for record in run["log"]][-2:] == ["Looking at 80", "Sharpest at 60"]
    assert client.get("/stage/position").json()["z"] == 60
    assert client.get("/autofocus/last").json() == run["output"]
    assert len(client.get("/action_invocations").json()) == 1


def test_a_cancel_stops_the_actions_of_other_things_too(client, ended):
    id = client.post("/autofocus/wait_for_ever").json()["id"]
    href = f"/action_invocations/{id}"
    assert client.delete(href).status_code in (200, 204)
    assert ended(client, href)["status"] == "cancelled"
    assert client.get("/stage/moving").json() is False


def test_metadata_and_the_thing_itself_are_injected(client, ended):
    run = ended(client, client.post("/autofocus/describe").json()["href"])
    assert run["output"] == {
        "states": {
            "stage": {"position": {"x": 0, "y": 0, "z": 0}},
            "camera": {},
            "autofocus": {},
        },
        "best": 60,
        "gain": 1,
    }


def test_injected_things_are_no_input(client):
    actions = client.get("/autofocus/").json()["actions"]
    assert actions["look_and_move"]["input"]["properties"].keys() == {"dz", "steps"}
    assert client.post("/autofocus/look_and_move", json={"dz": 0}).status_code == 422
    assert "input" not in actions["describe"] or not actions["describe"]["input"].get("properties")


def test_properties_have_the_resources_of_the_newer_ones(client):
    stage = client.get("/stage/").json()["properties"]
    assert stage["step_time"]["exclusiveMinimum"] == 0
    assert stage["step_time"]["default"] == 0.001
    assert stage["step_time"]["description"] == "Seconds."
    assert stage["position"]["readOnly"] is True
    assert client.put("/stage/step_time", json=0.5).status_code == 204
    assert client.get("/stage/step_time").json() == 0.5
    assert client.put("/stage/step_time", json=0).status_code == 422
    assert client.put("/stage/position", json={}).status_code == 405
    assert client.post("/stage/step_time/reset").status_code == 204
    assert client.get("/stage/step_time").json() == 0.001


def test_getters_and_setters_of_either_kind_work(client):
    assert client.put("/camera/exposure_time", json=50).status_code == 204
    assert client.get("/camera/gain").json() == 5
    assert client.put("/camera/gain", json=7).status_code == 204
    assert client.get("/camera/exposure_time").json() == 70
    assert client.get("/camera/").json()["properties"].keys() == {
        "exposure_time",
        "gain",
        "colour_gains",
    }


def test_settings_are_there_again_after_a_restart(client, make_server):
    assert client.put("/stage/backlash", json={"z": 25}).status_code == 204
    assert client.put("/camera/colour_gains", json=[1.5, 2]).status_code == 204
    with TestClient(make_server().app) as again:
        assert again.get("/stage/backlash").json() == {"z": 25}
        assert again.get("/camera/colour_gains").json() == [1.5, 2.0]


def test_an_endpoint_responds_and_is_documented(client):
    answer = client.get("/camera/snapshot.jpg")
    assert (answer.content, answer.headers["content-type"]) == (b"\xff\xd8", "image/jpeg")
    operation = client.get("/openapi.json").json()["paths"]["/camera/snapshot.jpg"]["get"]
    assert "image/jpeg" in operation["responses"]["200"]["content"]


def test_the_descriptions_obey_the_standard(server):
    for thing in server.things.values():
        thing.validate_thing_description()
