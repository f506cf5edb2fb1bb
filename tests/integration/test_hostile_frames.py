"""Any frame of a client gets a response or a proper close code, and ends nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

import labthings_fastapi as lt
from labthings_fastapi.bindings.websocket.operations import OPERATIONS

PROPER = {1003, 1007, 1009}


class Stage(lt.Thing):
    x: float = lt.property(default=0.0)
    name_: str = lt.property(default="")
    arrived: lt.Event[int] = lt.event()

    @lt.property
    def y(self) -> float:
        return 1.0

    @lt.action
    def move(self, to: float = 0.0) -> float:
        return to


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path / "settings")


NAMES = st.sampled_from(["x", "y", "name_", "move", "arrived", "stage", "", "properties"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | NAMES, inner),
    max_leaves=10,
)
KINDS = st.sampled_from(
    ["request", "addPropertyObservation", "addActionObservation", "response", "notification"]
)
MESSAGES = st.fixed_dictionaries(
    {"messageType": KINDS | JSON},
    optional={
        "operation": st.sampled_from(sorted(OPERATIONS)) | JSON,
        "thingID": st.just("stage") | JSON,
        "thing": st.just("stage") | JSON,
        "name": NAMES | JSON,
        "names": st.lists(NAMES) | JSON,
        "value": JSON,
        "values": st.dictionaries(NAMES, JSON) | JSON,
        "input": JSON,
        "data": JSON,
        "kinds": st.lists(st.sampled_from(["log", "status", "property"])) | JSON,
        "actionID": st.uuids().map(str) | JSON,
        "lastNotificationID": st.uuids().map(str) | JSON,
        "correlationID": JSON,
        "messageID": JSON,
    },
)
FRAMES = st.one_of(MESSAGES.map(json.dumps), JSON.map(json.dumps), st.text(), st.binary())


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(frames=st.lists(FRAMES, max_size=8), path=st.sampled_from(["/ws", "/stage/ws"]))
def test_other_subscriptions_survive_any_frame(dial, server, frames, path):
    other = dial("/stage/ws")
    other.ask("subscribeevent", name="arrived")
    socket = dial(path)
    socket.ask("subscribeevent", thingID="stage", name="arrived")
    for frame in frames:
        socket.wire.send(frame)
    known_by = json.dumps([path, len(frames), "the last one"])
    socket.send(
        messageType="request",
        operation="readproperty",
        thingID="stage",
        name="y",
        correlationID=known_by,
    )
    try:
        assert socket.answer(known_by)["value"] == 1.0
    except ConnectionClosed:
        assert socket.wire.close_code in PROPER
    server.things["stage"].arrived.emit(5)
    assert other.next()["data"] == 5
    for each in (socket, other):
        each.wire.close()
