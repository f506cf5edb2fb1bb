"""Properties of a running server: read, written, refused; one by one and all at once."""

from __future__ import annotations

import logging
import math
import sys
import threading

import pytest
from pydantic import BaseModel, ConfigDict, computed_field

import labthings_fastapi as lt


class Offset(BaseModel):
    x: float
    y: float = 0.0


class Roi(BaseModel):
    """A model that cannot read back what it writes."""

    model_config = ConfigDict(extra="forbid")
    width: int = 1
    height: int = 1

    @computed_field
    def area(self) -> int:
        return self.width * self.height


class Broken(BaseModel):
    answer: int


class Stage(lt.Thing):
    """A stage with every kind of property."""

    speed: float = lt.property(default=1.0, gt=0, unit="mm/s")
    steps: int = lt.property(default=3)
    label: str = lt.property(default="left", max_length=8)
    trail: list[float] = lt.property(default_factory=list, readonly=True)
    offset: Offset = lt.property(default=Offset(x=1.5))
    level: float = lt.property(default=0.0)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.place = (0.0, 0.0)
        self.threads = []
        self.region = Roi()

    @lt.property
    def position(self) -> tuple[float, float]:
        self.threads.append(threading.current_thread())
        return self.place

    @position.setter
    def _set_position(self, value):
        self.threads.append(threading.current_thread())
        self.place = value

    @lt.property
    def roi(self) -> Roi:
        return self.region

    @roi.setter
    def _set_roi(self, value):
        self.region = value

    @lt.property
    def temperature(self) -> float:
        return 21.5


class Faulty(lt.Thing):
    good: int = lt.property(default=1)

    @lt.property
    def silent(self) -> int:
        raise OSError("no answer from the driver")

    @lt.property
    def confused(self) -> int:
        return Broken.model_validate({"answer": "?"}).answer

    @lt.property
    def leaving(self) -> int:
        sys.exit(1)

    @lt.property
    def not_text(self) -> dict:
        return {"me": object()}

    @lt.property
    def stuck(self) -> int:
        return 4

    @stuck.setter
    def _set_stuck(self, value):
        raise OSError("the motor is blocked")


@pytest.fixture
def server():
    return lt.ThingServer.from_things({"stage": Stage, "faulty": Faulty})


@pytest.fixture
def client(server):
    with server.test_client() as client:
        yield client


def test_a_data_property_is_a_bare_json_value(client):
    answer = client.get("/stage/speed")
    assert (answer.status_code, answer.text) == (200, "1.0")
    assert answer.headers["content-type"] == "application/json"
    put = client.put("/stage/speed", json=2.5)
    assert (put.status_code, put.content) == (204, b"")
    assert client.get("/stage/speed").json() == 2.5


def test_a_functional_property_is_computed_and_set_by_its_methods(client, server):
    assert client.put("/stage/position", json=[1, 2]).status_code == 204
    assert client.get("/stage/position").json() == [1.0, 2.0]
    assert server.things["stage"].place == (1.0, 2.0)


def test_a_model_is_an_object(client, server):
    assert client.get("/stage/offset").json() == {"x": 1.5, "y": 0.0}
    assert client.put("/stage/offset", json={"x": 2}).status_code == 204
    assert server.things["stage"].offset == Offset(x=2)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_json_has_no_number_for_is_a_string_in_both_directions(client, server, text):
    assert client.put("/stage/level", json=text).status_code == 204
    stored = server.things["stage"].level
    assert math.isnan(stored) if text == "NaN" else stored == float(text)
    assert client.get("/stage/level").json() == text
    assert client.put("/stage/properties", json={"level": text}).status_code == 204
    assert client.get("/stage/properties").json()["level"] == text
    assert client.put("/stage/offset", json={"x": text}).status_code == 204
    assert client.get("/stage/offset").json()["x"] == text


def test_head_is_get_without_the_body(client):
    answer = client.head("/stage/speed")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "3"


@pytest.mark.parametrize("name", ["trail", "temperature"])
def test_a_read_only_property_names_the_methods_that_it_takes(client, assert_problem, name):
    answer = client.put(f"/stage/{name}", json=[1])
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD"


def test_a_value_that_breaks_its_constraint_changes_nothing(client, assert_problem):
    problem = assert_problem(client.put("/stage/speed", json=-1), 422)
    assert "'speed'" in problem["detail"]
    assert problem["errors"][0]["type"] == "greater_than"
    assert problem["instance"] == "/stage/speed"
    assert client.get("/stage/speed").json() == 1.0


def test_the_error_has_the_place_of_a_mistake_in_a_model(client, assert_problem):
    problem = assert_problem(client.put("/stage/offset", json={"x": "far"}), 422)
    assert problem["errors"][0]["loc"] == ["x"]


@pytest.mark.parametrize("body", [b"", b"{", b"nan", b"\xff", b"[" * 5000])
def test_a_body_that_is_no_json_is_malformed(client, assert_problem, body):
    headers = {"Content-Type": "application/json"}
    for path in ("/stage/speed", "/stage/offset", "/stage/properties"):
        assert_problem(client.put(path, content=body, headers=headers), 400)


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_called_json_is_refused(client, assert_problem, media_type):
    headers = {"Content-Type": media_type} if media_type else {}
    for path in ("/stage/speed", "/stage/properties"):
        problem = assert_problem(client.put(path, content=b"2", headers=headers), 415)
        assert "application/json" in problem["detail"]


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/ld+json"]
)
def test_json_has_several_names(client, media_type):
    answer = client.put("/stage/speed", content=b"2", headers={"Content-Type": media_type})
    assert answer.status_code == 204


# --- all at once ------------------------------------------------------------------------------


def test_all_properties_are_one_object(client):
    assert client.get("/stage/properties").json() == {
        "speed": 1.0,
        "steps": 3,
        "label": "left",
        "trail": [],
        "offset": {"x": 1.5, "y": 0.0},
        "level": 0.0,
        "position": [0.0, 0.0],
        "roi": {"width": 1, "height": 1, "area": 1},
        "temperature": 21.5,
    }


def test_several_properties_are_written_at_once(client):
    values = {"speed": 4, "position": [1, 2], "offset": {"x": 3}}
    assert client.put("/stage/properties", json=values).status_code == 204
    read = client.get("/stage/properties").json()
    assert (read["speed"], read["position"], read["offset"]["x"]) == (4.0, [1.0, 2.0], 3.0)


def test_one_invalid_value_means_that_none_is_written_and_all_mistakes_are_named(
    client, assert_problem
):
    values = {"steps": 5, "speed": -1, "offset": {"x": "far"}, "position": [9, 9]}
    problem = assert_problem(client.put("/stage/properties", json=values), 422)
    assert [error["loc"] for error in problem["errors"]] == [["speed"], ["offset", "x"]]
    read = client.get("/stage/properties").json()
    assert (read["steps"], read["speed"], read["position"]) == (3, 1.0, [0.0, 0.0])


def test_a_setter_that_fails_undoes_what_was_written_before(assert_problem):
    class Pair(Faulty):
        @lt.property
        def region(self) -> Roi:
            return self.__dict__.get("kept", Roi())

        @region.setter
        def _set_region(self, value):
            self.kept = value

    with lt.ThingServer.from_things({"pair": Pair}).test_client() as client:
        values = {"good": 2, "region": {"width": 7}, "stuck": 5}
        problem = assert_problem(client.put("/pair/properties", json=values), 500)
        assert "'stuck'" in problem["detail"]
        assert "the motor is blocked" in problem["detail"]
        assert client.get("/pair/good").json() == 1
        assert client.get("/pair/region").json() == {"width": 1, "height": 1, "area": 1}


def test_a_body_that_is_no_object_is_not_valid(client, assert_problem):
    problem = assert_problem(client.put("/stage/properties", json=[1]), 422)
    assert problem["errors"][0]["type"] == "dict_type"


def test_the_error_for_an_unknown_property_lists_the_known_ones(client, assert_problem):
    values = {"speed": 2, "sped": 2}
    problem = assert_problem(client.put("/stage/properties", json=values), 404)
    assert "'sped'" in problem["detail"]
    assert "speed" in problem["detail"]
    assert client.get("/stage/speed").json() == 1.0


def test_a_read_only_property_among_several_refuses_them_all(client, assert_problem):
    answer = client.put("/stage/properties", json={"speed": 2, "trail": [1]})
    assert "'trail'" in assert_problem(answer, 405)["detail"]
    assert answer.headers["allow"] == "GET, HEAD, PUT"
    assert client.get("/stage/speed").json() == 1.0


def test_more_getters_than_a_lane_has_places_are_read_all_the_same():
    def getter(self) -> int:
        return 1

    many = {f"p{n}": lt.property(getter) for n in range(60)}
    cls = type("Many", (lt.Thing,), many)
    with lt.ThingServer.from_things({"many": cls}).test_client() as client:
        answer = client.get("/many/properties")
        assert answer.status_code == 200
        assert answer.json() == dict.fromkeys(many, 1)


# --- code that fails --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("silent", "OSError: no answer from the driver"),
        ("confused", "ValidationError"),
        ("leaving", "SystemExit"),
        ("not_text", "cannot be written as JSON"),
    ],
)
def test_a_getter_that_fails_is_a_problem_and_one_line_in_the_things_log(
    client, assert_problem, caplog, name, expected
):
    with caplog.at_level(logging.INFO, "labthings_fastapi"):
        problem = assert_problem(client.get(f"/faulty/{name}"), 500)
    assert expected in problem["detail"]
    assert f"'{name}'" in problem["detail"] or name in problem["detail"]
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in records] == ["labthings_fastapi.things.faulty"]
    assert client.get("/faulty/good").json() == 1


def test_a_setter_that_fails_is_a_problem_and_one_line_in_the_things_log(
    client, assert_problem, caplog
):
    with caplog.at_level(logging.INFO, "labthings_fastapi"):
        problem = assert_problem(client.put("/faulty/stuck", json=1), 500)
    assert "the motor is blocked" in problem["detail"]
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1


def test_reading_all_properties_names_the_one_that_failed(assert_problem):
    class One(lt.Thing):
        fine: int = lt.property(default=1)

        @lt.property
        def silent(self) -> int:
            raise OSError("no answer")

    with lt.ThingServer.from_things({"one": One}).test_client() as client:
        assert "'silent'" in assert_problem(client.get("/one/properties"), 500)["detail"]


def test_code_of_a_thing_runs_on_worker_threads_only(client, server):
    client.get("/stage/position")
    client.put("/stage/position", json=[1, 1])
    client.get("/stage/properties")
    client.put("/stage/properties", json={"position": [2, 2], "speed": 2})
    threads = server.things["stage"].threads
    assert len(threads) >= 4
    assert all(thread.name.startswith("labthings-worker") for thread in threads)


def test_a_default_is_made_before_the_event_loop_needs_it():
    threads = []

    def make() -> list[float]:
        threads.append(threading.current_thread())
        return [1.0]

    class Lazy(lt.Thing):
        trail: list[float] = lt.property(default_factory=make)

    with lt.ThingServer.from_things({"lazy": Lazy}).test_client() as client:
        assert client.get("/lazy/trail").json() == [1.0]
        assert client.get("/lazy/properties").json() == {"trail": [1.0]}
    assert set(threads) == {threading.main_thread()}
