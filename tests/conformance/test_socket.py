"""A WebSocket client in JavaScript speaks both vocabularies with a real server."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

import labthings_fastapi as lt

pytestmark = pytest.mark.timeout(150)  # Node needs half a minute, longer on a busy computer


class Lamp(lt.Thing):
    level: Annotated[int, Field(ge=0, le=10)] = lt.property(default=1)

    @lt.action
    def fade(self, to: int) -> int:
        self.level = to
        return to


@pytest.fixture
def speak(in_node, serve):
    """Follow the lamp's level, and let it fade, in the words of one vocabulary."""
    url = f"{serve({'lamp': Lamp})}/lamp/"
    args = ["level", [4, 9], "fade", {"to": 2}]
    return lambda vocabulary: in_node("socket.mjs", url=url, vocabulary=vocabulary, args=args)


def test_the_web_thing_protocol(speak):
    received = speak("webThing")
    assert received["protocol"] == "webthingprotocol"
    values = [each["value"] for each in received["heard"]]
    assert values[:2] == [4, 9]
    for each in received["heard"]:
        assert (each["messageType"], each["operation"]) == ("notification", "observeproperty")
        assert each["thingID"].startswith("urn:uuid:")
        assert each["correlationID"] == "1"
    assert len({each["messageID"] for each in received["heard"]}) == len(values)
    assert received["refused"]["error"]["status"] == 422
    assert "level" in received["refused"]["error"]["detail"]
    assert received["asked"]["status"]["output"] == 2
    assert received["asked"]["actionID"] == received["begun"]["actionID"]
    assert received["closed"]["code"] == 1000


def test_the_messages_of_labthings(speak):
    received = speak("labThings")
    assert received["protocol"] == ""
    received_texts = [each for each in received["heard"] if each["messageType"] == "propertyStatus"]
    assert [each["data"] for each in received_texts][:2] == [{"level": 4}, {"level": 9}]
    runs = [
        each["data"]["fade"] for each in received["heard"] if each["messageType"] == "actionStatus"
    ]
    assert (runs[-1]["status"], runs[-1]["output"]) == ("completed", 2)
    assert len({each["invocationId"] for each in runs}) == 1
    assert received["closed"]["code"] == 1000
