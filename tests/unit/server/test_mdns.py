"""What a server announces while Things are added."""

from __future__ import annotations

import threading

import pytest

import labthings_fastapi as lt
from labthings_fastapi.example_things import MyThing
from labthings_fastapi.server import mdns as announcing
from labthings_fastapi.server.address import ListenAddress
from labthings_fastapi.thing_host.server_id import ServerId

pytestmark = pytest.mark.skipif(not announcing.can_announce(), reason="needs `discovery`")


class Recorder:
    """In place of the announcer: these tests need no network."""

    def __init__(self, *_):
        self.paths = []

    def add(self, service):
        self.paths.append(service.path)

    def withdraw(self):
        """Do nothing."""

    def join(self, _timeout):
        return True


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(announcing, "Advertiser", lambda *_: recorder)
    return recorder


def listen(server):
    """Announce the server, as when it begins to listen."""
    address = ListenAddress("127.0.0.1", 5000, addresses=("127.0.0.1",))
    server._announcing.begin(address, server.api_prefix, lambda: server.things)


def test_a_thing_that_is_added_while_the_announcement_begins_is_announced(recorder, monkeypatch):
    get, others = ServerId.get, []

    def get_as_a_thing_comes(server_id):
        if not others:
            others.append(MyThing())
            adding = threading.Thread(target=server.add_thing, args=(others[0], "/other/"))
            adding.start()
            adding.join(30)
        return get(server_id)

    monkeypatch.setattr(ServerId, "get", get_as_a_thing_comes)
    server = lt.ThingServer.from_things({"mine": MyThing}, discovery=True)
    with server.test_client():
        listen(server)
    assert sorted(recorder.paths) == ["/.well-known/wot", "/mine/", "/other/"]


def test_a_thing_that_exists_when_the_announcement_begins_is_announced_once(recorder, monkeypatch):
    server = lt.ThingServer.from_things({"mine": MyThing}, discovery=True)
    expose = server._expose

    def expose_as_it_listens(thing):
        listen(server)
        expose(thing)

    with server.test_client():
        monkeypatch.setattr(server, "_expose", expose_as_it_listens)
        server.add_thing(MyThing(), "/other/")
    assert sorted(recorder.paths) == ["/.well-known/wot", "/mine/", "/other/"]
