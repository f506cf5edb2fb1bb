"""Other Things and their metadata are injected into actions."""

from __future__ import annotations

import logging
import threading
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient

import labthings_fastapi as lt
from labthings_fastapi.dependencies.invocation import InvocationLogger
from labthings_fastapi.dependencies.metadata import GetThingStates
from labthings_fastapi.dependencies.raw_thing import raw_thing_dependency
from labthings_fastapi.dependencies.thing import (
    direct_thing_client_class,
    direct_thing_client_dependency,
)
from labthings_fastapi.exceptions import (
    AffordanceNotFoundError,
    ReadOnlyPropertyError,
    ServerNotRunningError,
)


def left() -> str:
    return "left"


def right() -> str:
    return "right"


class Stage(lt.Thing):
    """A stage."""

    speed: float = lt.property(default=1.0, gt=0)
    fixed: int = lt.property(default=1, readonly=True)

    @lt.action
    def first(self, hand: Annotated[str, Depends(left)], n: int, *, m: int = 2) -> list[Any]:
        """Say what came."""
        return [hand, n, m]

    @lt.action
    def second(self, n: int, hand: Annotated[str, Depends(right)], **more: int) -> list[Any]:
        return [hand, n, more]

    @lt.action
    def log_from_elsewhere(self, logger: InvocationLogger) -> None:
        worker = threading.Thread(target=logger.info, args=("from elsewhere",))
        worker.start()
        worker.join()

    @property
    def thing_state(self) -> dict[str, Any]:
        return {"speed": self.speed}


StageClient = direct_thing_client_dependency(Stage, "/stage/")
OnlyFirst = direct_thing_client_dependency(Stage, "stage", actions=["first"])
WrongPlace = direct_thing_client_dependency(Stage, "/nowhere/")
WrongClass = direct_thing_client_dependency(Stage, "/user/")
RawStage = raw_thing_dependency(Stage)


class User(lt.Thing):
    @lt.action
    def use(self, stage: StageClient, raw: RawStage, states: GetThingStates) -> list[Any]:
        stage.speed = 3
        return [
            stage.first(1, m=5),
            stage.second(2, extra=7),
            stage.first(1, hand="mine"),
            raw.speed,
            states()["stage"],
        ]

    @lt.action
    def break_rules(self, stage: StageClient) -> None:
        with pytest.raises(ReadOnlyPropertyError):
            stage.fixed = 2
        with pytest.raises(ValueError, match="greater than 0"):
            stage.speed = -1
        with pytest.raises(TypeError, match="missing a required argument: 'n'"):
            stage.first()

    @lt.action
    def log(self, stage: StageClient) -> None:
        stage.log_from_elsewhere()

    @lt.action
    def limited(self, stage: OnlyFirst) -> bool:
        return hasattr(stage, "first") and not hasattr(stage, "second")

    @lt.action
    def nowhere(self, stage: WrongPlace) -> None:
        """Never begin."""

    @lt.action
    def wrong(self, stage: WrongClass) -> None:
        """Never begin."""


@pytest.fixture(params=["", "/api"])
def client(request):
    server = lt.ThingServer.from_things({"stage": Stage, "user": User}, api_prefix=request.param)
    with server.test_client(base_url=f"http://testserver{request.param}") as client:
        yield client


def run_of(client, action):
    answer = client.post(f"user/{action}", headers={"Prefer": "wait=60"})
    assert answer.status_code in (200, 201), answer.text
    found = client.get(f"action_invocations/{answer.json()['id']}", headers={"Prefer": "wait=60"})
    assert found.json()["status"] == "completed", found.text
    return found.json()


def test_actions_get_their_own_dependencies_wherever_these_stand(client):
    assert run_of(client, "use")["output"] == [
        ["left", 1, 5],
        ["right", 2, {"extra": 7}],
        ["mine", 1, 2],
        3.0,
        {"speed": 3.0},
    ]


def test_a_client_keeps_the_rules_of_clients(client):
    run_of(client, "break_rules")


def test_loggers_of_other_things_write_into_the_run_from_any_thread(client):
    messages = [record["message"] for record in run_of(client, "log")["log"]]
    assert "from elsewhere" in messages


def test_only_the_actions_that_were_named_are_there(client):
    assert run_of(client, "limited")["output"] is True


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("nowhere", "There is no Thing at '/nowhere/'; there are: "),
        ("wrong", "The Thing at '/user/' is a User, but a Stage is needed there."),
    ],
)
def test_a_thing_that_is_not_there_is_named_before_the_invocation_begins(client, action, message):
    answer = client.post(f"user/{action}")
    assert answer.status_code == 404
    assert message in answer.json()["detail"]
    assert client.get("action_invocations").json() == []


def test_an_action_that_does_not_exist_is_a_mistake_of_the_declaration():
    with pytest.raises(AffordanceNotFoundError, match=r"no action called 'frist'.*first, .*second"):
        direct_thing_client_class(Stage, "/stage/", actions=["frist"])


def test_a_direct_client_has_the_names_and_words_of_the_thing():
    cls = direct_thing_client_class(Stage, "/stage/")
    assert (cls.__name__, cls.__doc__) == ("StageDirectClient", "A stage.")
    assert cls.first.__doc__ == "Say what came."


def test_an_app_without_a_server_is_a_clear_error():
    app = FastAPI()

    @app.get("/")
    def ask(request: Request, states: GetThingStates) -> None:
        """Never begin."""

    with pytest.raises(ServerNotRunningError, match="app has no ThingServer"):
        TestClient(app).get("/")


def test_it_is_not_ambiguous_which_thing_is_meant(caplog):
    server = lt.ThingServer.from_things({"a": Stage, "stage": Stage, "user": User})
    with caplog.at_level(logging.CRITICAL), server.test_client() as client:
        answer = client.post("/user/use")
    assert answer.status_code == 404
    assert "exactly one Stage, but there are 2: a, stage" in answer.json()["detail"]
