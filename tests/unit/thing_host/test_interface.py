"""A Thing's view of its server, with and without one."""

from __future__ import annotations

import threading

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ServerNotRunningError
from labthings_fastapi.messages.topic import Topic
from labthings_fastapi.thing_host.interface import StandaloneServices, ThingServerInterface


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0)

    @property
    def thing_state(self):
        return {"speed": self.speed}


async def thread_name(suffix):
    return threading.current_thread().name + suffix


@pytest.fixture(params=["alone", "with a server"])
def thing(request, tmp_path):
    if request.param == "alone":
        yield Stage()
        return
    server = lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path)
    with server.test_client():
        yield server.things["stage"]


def test_coroutines_run_on_the_loop_of_the_thing(thing):
    services = thing._thing_server_interface
    future = services.start_async_task_soon(thread_name, "!")
    assert future.result(30) == f"labthings-loop-{thing.name}!"
    assert services.call_async_task(thread_name, "?") == f"labthings-loop-{thing.name}?"


def test_what_a_coroutine_raises_comes_back(thing):
    async def fail():
        raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"):
        thing._thing_server_interface.call_async_task(fail)


def test_messages_are_published(thing):
    services = thing._thing_server_interface
    with services.broker.subscribe(Topic(thing=thing.name)) as subscription:
        thing.speed = 2
        assert [message.payload for message in subscription.take()] == [b"2.0"]


def test_alone_it_has_the_name_of_its_class_and_no_configuration():
    services = Stage()._thing_server_interface
    assert (services.name, services.path) == ("Stage", "/Stage/")
    assert (services.application_config, services.get_thing_states()) == (None, {})


def test_two_things_alone_share_nothing():
    one, other = Stage(), Stage()
    with other._thing_server_interface.broker.subscribe(Topic()) as subscription:
        one.speed = 2
        assert subscription.take() == []


def test_with_a_server_it_has_the_configuration_and_the_states_of_all_things():
    config = {"lab": {"room": 4}}
    server = lt.ThingServer.from_things(
        {"a": Stage, "b": Stage}, application_config=config, api_prefix="/api"
    )
    services = server.things["a"]._thing_server_interface
    assert (services.name, services.path) == ("a", "/api/a/")
    assert services.get_thing_states() == {"a": {"speed": 1.0}, "b": {"speed": 1.0}}
    services.application_config["lab"]["room"] = 5
    assert services.application_config == config


def test_without_a_running_server_no_task_is_started(tmp_path):
    server = lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path)
    interface = server.things["stage"]._thing_server_interface
    for start in (interface.start_async_task_soon, interface.call_async_task):
        with pytest.raises(ServerNotRunningError, match="'stage' cannot start a task"):
            start(thread_name, "!")


class Opening(lt.Thing):
    """Starts tasks where it opens and closes its hardware."""

    def __enter__(self):
        interface = self._thing_server_interface
        self.opened = interface.call_async_task(thread_name, "!")
        return self

    def __exit__(self, *_):
        self.closed = self._thing_server_interface.start_async_task_soon(thread_name, "!").result(
            30
        )


def test_tasks_may_be_started_while_a_thing_is_opened_and_closed(tmp_path):
    server = lt.ThingServer.from_things({"stage": Opening}, settings_folder=tmp_path)
    with server.test_client():
        pass
    stage = server.things["stage"]
    assert stage.opened == stage.closed == "labthings-loop-stage!"


def test_what_is_no_coroutine_function_is_the_callers_error(thing):
    interface = thing._thing_server_interface
    for start in (interface.start_async_task_soon, interface.call_async_task):
        with pytest.raises(TypeError, match=r"str returned no coroutine: write `async def str"):
            start(str, 1)


def test_the_name_of_the_class_is_in_that_of_the_settings_file():
    interface = ThingServerInterface(StandaloneServices(), "stage", "Stage")
    assert interface.settings_file_name == "Settings-Stage.json"
    server = lt.ThingServer()
    assert ThingServerInterface(server, "stage").settings_file_path.endswith("Settings.json")
