"""A setter may refuse a value; one that worked is not undone by a reading that fails."""

from __future__ import annotations

import logging

import pytest

import labthings_fastapi as lt


class Amplifier(lt.Thing):
    limit: float = lt.property(default=5.0, ge=0, le=10)
    steps: int = lt.property(default=1)

    def __init__(self, **interface):
        super().__init__(**interface)
        self._gain = 1.0
        self._wire = "whole"

    @lt.property
    def gain(self) -> float:
        return self._gain

    @gain.setter
    def gain(self, value: float) -> None:
        if value not in (1.0, 10.0, 100.0):
            raise ValueError("this amplifier has the gains 1, 10 and 100")
        self._gain = value

    @lt.property
    def both(self) -> float:
        return self.limit

    @both.setter
    def both(self, value: float) -> None:
        self.limit = value  # its own limit refuses some values

    @lt.property
    def broken(self) -> int:
        return 1

    @broken.setter
    def broken(self, value: int) -> None:
        raise OSError("the cable is out")

    @lt.property(observable=True)
    def offset(self) -> float:
        if self._wire == "cut":
            raise OSError("no answer within 2 s\nserial port closed")
        return 0.5

    @offset.setter
    def offset(self, value: float) -> None:
        self._wire = "cut"

    @lt.setting
    def zero(self) -> float:
        if self._wire == "cut":
            raise OSError("no answer within 2 s")
        return 0.5

    @zero.setter
    def zero(self, value: float) -> None:
        if value < 0:
            raise ValueError("the zero cannot be negative")
        self._wire = "cut"


@pytest.fixture
def server():
    return lt.ThingServer.from_things({"amp": Amplifier}, journal="memory")


@pytest.fixture
def client(server):
    with server.test_client() as client:
        yield client


def test_a_value_error_of_a_setter_is_422_with_its_words(client, caplog):
    answer = client.put("/amp/gain", json=7)
    assert answer.status_code == 422
    problem = answer.json()
    words = "this amplifier has the gains 1, 10 and 100"
    assert problem["detail"] == f"Property 'gain' of Thing 'amp': {words}"
    assert problem["errors"] == [{"loc": [], "msg": words, "type": "refused_by_setter"}]
    assert client.get("/amp/gain").json() == 1.0
    assert [record.levelno for record in caplog.records if words in record.getMessage()] == [
        logging.WARNING
    ]


def test_a_limit_that_a_setter_meets_is_422_and_names_property_value_and_limit(client):
    detail = client.put("/amp/both", json=12.5).json()["detail"]
    for part in ("'both'", "'limit'", "'amp'", "12.5", "10"):
        assert part in detail
    assert "pydantic" not in detail


def test_other_errors_of_a_setter_are_the_things_own(client):
    answer = client.put("/amp/broken", json=7)
    assert answer.status_code == 500
    assert "the cable is out" in answer.json()["detail"]


def test_python_code_gets_the_setters_own_error(server):
    with pytest.raises(ValueError, match="has the gains 1, 10 and 100"):
        server.things["amp"].gain = 7


def test_of_several_properties_none_is_set_if_one_setter_refuses(client):
    answer = client.put("/amp/properties", json={"steps": 4, "gain": 7})
    assert answer.status_code == 422
    assert "has the gains 1, 10 and 100" in answer.json()["detail"]
    assert client.get("/amp/steps").json() == 1


def test_a_set_that_worked_and_cannot_be_read_back_is_204_with_a_warning(client, caplog):
    answer = client.put("/amp/offset", json=2.0)
    assert answer.status_code == 204
    warning = answer.headers["LabThings-Warning"]
    assert "'offset'" in warning
    assert "'amp'" in warning
    assert "no answer within 2 s serial port closed" in warning
    assert any("reading it back failed" in record.getMessage() for record in caplog.records)


def test_the_warning_of_one_of_several_properties_reaches_the_client(client):
    answer = client.put("/amp/properties", json={"steps": 3, "offset": 2.0})
    assert answer.status_code == 204
    assert "'offset'" in answer.headers["LabThings-Warning"]


def test_a_setting_that_was_set_and_cannot_be_read_back_says_that_it_is_not_saved(client):
    answer = client.put("/amp/zero", json=2.0)
    assert answer.status_code == 204
    assert "'zero'" in answer.headers["LabThings-Warning"]
    assert "not saved" in answer.headers["LabThings-Warning"]


def test_the_setter_of_a_setting_may_refuse_too(client):
    answer = client.put("/amp/zero", json=-2.0)
    assert answer.status_code == 422
    assert "the zero cannot be negative" in answer.json()["detail"]


def test_a_write_without_trouble_has_no_warning(client):
    answer = client.put("/amp/gain", json=10)
    assert answer.status_code == 204
    assert "LabThings-Warning" not in answer.headers


def test_python_code_does_not_see_a_failed_reading_back(server, client):
    server.things["amp"].offset = 2.0
    assert server.things["amp"]._wire == "cut"


def test_over_a_socket_the_refusal_and_the_warning_are_told(client):
    with client.websocket_connect("/amp/ws", subprotocols=["webthingprotocol"]) as socket:
        request = {"messageType": "request", "operation": "writeproperty", "messageID": "1"}
        socket.send_json(request | {"name": "gain", "value": 7})
        refused = socket.receive_json()["error"]
        assert (refused["status"], "gains 1, 10 and 100" in refused["detail"]) == (422, True)
        socket.send_json(request | {"name": "offset", "value": 2.0})
        assert "reading it back failed" in socket.receive_json()["labthings:warning"]
