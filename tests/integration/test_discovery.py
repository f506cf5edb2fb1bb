"""A real browser of DNS-SD finds the Things of a real server, here by multicast on loopback."""

from __future__ import annotations

import json
import os
import queue
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import pytest
import zeroconf

import labthings_fastapi as lt
from labthings_fastapi.discovery.advertiser import Advertiser, Reach
from labthings_fastapi.discovery.services import DIRECTORY_TYPE, SERVICE_TYPE, Origin
from labthings_fastapi.server.address import ListenAddress
from labthings_fastapi.thing_description.validation import validate

HERE = "127.0.0.1"


class Lamp(lt.Thing):
    """A lamp on the bench."""

    level: int = lt.property(default=1)


class Browser(zeroconf.ServiceListener):
    """Collects what comes and what goes."""

    def __init__(self):
        self.changes = queue.Queue()
        self._lookups = ThreadPoolExecutor(32)
        self._network = zeroconf.Zeroconf(interfaces=[HERE])
        for type_ in (SERVICE_TYPE, DIRECTORY_TYPE):
            zeroconf.ServiceBrowser(self._network, type_, self)

    def add_service(self, zc, type_, name):
        # Side by side: other programs on this computer announce services too, and a lookup of one
        # that has gone since waits for the whole timeout.
        self._lookups.submit(self._look_up, zc, type_, name)

    def _look_up(self, zc, type_, name):
        info = zc.get_service_info(type_, name, timeout=10_000)
        if info is not None:
            self.changes.put(("added", type_, info))

    def remove_service(self, zc, type_, name):
        self.changes.put(("removed", type_, name))

    def update_service(self, zc, type_, name):
        pass

    def wait_for(self, expected, test):
        """Return the first change of a kind that passes a test; drop the others."""
        while True:
            change, type_, about = self.changes.get(timeout=30)
            if change == expected and test(type_, about):
                return about

    def close(self):
        self._lookups.shutdown(cancel_futures=True)
        self._network.close()


def path_of(info):
    return info.decoded_properties["td"]


def url_of(info):
    [address] = info.parsed_addresses()
    return f"{info.decoded_properties['scheme']}://{address}:{info.port}{path_of(info)}"


def fetch(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture
def browser():
    found = Browser()
    yield found
    found.close()


@pytest.fixture
def server(tmp_path):
    return lt.ThingServer.from_things(
        {"lamp": Lamp}, settings_folder=tmp_path / "settings", discovery=True, api_prefix="/api"
    )


@contextmanager
def announced(server, port):
    """Announce a server that uvicorn runs elsewhere in this process."""
    address = ListenAddress(HERE, port, addresses=(HERE,))
    server._announcing.begin(address, server.api_prefix, lambda: server.things)
    try:
        yield
    finally:
        server._announcing.end()


def test_a_thing_is_found_described_and_gone_when_the_server_stops(server, port, browser):
    with announced(server, port):
        ours = server._server_id.get().hex[:8]
        mine = lambda type_, info: ours in info.name and path_of(info) == "/api/lamp/"  # noqa: E731
        found = browser.wait_for("added", mine)
        assert found.name.startswith("Lamp on ")
        assert found.decoded_properties == {"td": "/api/lamp/", "type": "Thing", "scheme": "http"}
        description = fetch(url_of(found))
        validate(description)
        assert description["id"] == server.things["lamp"].thing_description_dict()["id"]
    browser.wait_for("removed", lambda type_, name: name == found.name)


def test_the_directory_is_found_by_its_subtype_and_leads_to_the_things(server, port, browser):
    with announced(server, port):
        ours = server._server_id.get().hex[:8]
        found = browser.wait_for(
            "added", lambda type_, info: type_ == DIRECTORY_TYPE and ours in info.name
        )
        assert found.decoded_properties["type"] == "Directory"
        directory = fetch(url_of(found))
        validate(directory)
        [form] = directory["properties"]["things"]["forms"]
        [thing] = fetch(form["href"].partition("{")[0])
        assert thing["title"] == "Lamp"


def test_a_thing_that_comes_later_is_announced_too(server, port, browser):
    with announced(server, port):
        server.add_thing(Lamp(), "/spare/lamp/")
        ours = server._server_id.get().hex[:8]
        browser.wait_for(
            "added",
            lambda type_, info: ours in info.name and path_of(info) == "/api/spare/lamp/",
        )


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM is a POSIX signal")
def test_the_command_announces_its_addresses_and_withdraws_them(tmp_path, browser, running_server):
    settings = tmp_path / "settings"
    config = {
        "things": {"example": "labthings_fastapi.example_things:MyThing"},
        "settings_folder": str(settings),
        "discovery": True,
    }
    server = running_server.process("-j", json.dumps(config), cwd=tmp_path)
    found = browser.wait_for(
        "added",
        lambda type_, info: (
            path_of(info) == "/example/"
            and (settings / "server-id").read_text("utf-8")[:8] in info.name
        ),
    )
    validate(fetch(url_of(found)))
    server.process.send_signal(signal.SIGTERM)
    browser.wait_for("removed", lambda type_, name: name == found.name)
    assert server.process.wait(30) == 0


def test_servers_that_would_have_the_same_name_get_different_ones(browser):
    origin = Origin(f"lab-{uuid4().hex[:8]}")  # no other test's
    service = origin.thing("lamp", "Lamp", "/lamp/")
    same = [service.name, f"{service.name}-2"]
    advertisers = []
    try:
        for name in same:
            advertisers.append(Advertiser(origin, Reach((HERE,), 5000, "https")))
            advertisers[-1].add(service)
            found = browser.wait_for("added", partial(named, f"{name}.{SERVICE_TYPE}"))
            assert found.decoded_properties["scheme"] == "https"
    finally:
        for advertiser in advertisers:
            advertiser.withdraw()
        assert all(advertiser.join(30) for advertiser in advertisers)


def named(name, type_, info):
    return info.name == name
