"""No path and no method does anything for a stranger, a viewer or a page of another site.

The paths are those of the OpenAPI document and of the router, so that a new one is tried as well.
"""

from __future__ import annotations

import http.client
import itertools
import json

import pytest

import labthings_fastapi as lt
from labthings_fastapi.invocation_contexts import get_invocation_directory
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_token

pytestmark = pytest.mark.timeout(180)  # a thousand requests, each on a connection of its own

SAFE = ["GET", "HEAD"]
CHANGING = ["POST", "PUT", "PATCH", "DELETE"]
ODD = ["TRACE", "PROPFIND", "COPY", "MKCOL", "LOCK", "QUERY"]
MORE_PATHS = [
    "/docs",
    "/nothing",
    "/stage",
    "/stage/reopen",
    "/stage/ws",
    "/ws",
    "/ui",
    "/ui/",
    "/ui/index.html",
    "/openapi.json",
    "//stage/speed",
    "/stage//speed",
    "/stage/../stage/speed",
    "/%73tage/speed",
    "/stage/speed/",
    "/STAGE/speed",
    "/stage/speed?observe=longpoll",
    "/of-the-lab",
    "*",
]


class Picture(lt.blob.Blob):
    media_type = "image/png"


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0)
    zero: float = lt.setting(default=0.0)
    moved: lt.Event[float] = lt.event()

    def __init__(self, **interface):
        super().__init__(**interface)
        self.calls = []

    @lt.property(observable=True)
    def position(self) -> float:
        self.calls.append("read")
        return 0.0

    @position.setter
    def _set_position(self, value: float) -> None:
        self.calls.append("set")

    @lt.action
    def move(self, distance: float = 1.0) -> Picture:
        self.calls.append("move")
        (get_invocation_directory() / "note.txt").write_text("what the run has written")
        return Picture.from_bytes(b"a picture")

    @lt.endpoint("post", "home")
    def home(self) -> str:
        self.calls.append("home")
        return "home"

    @lt.endpoint("get", "trace")
    def trace(self) -> str:
        self.calls.append("trace")
        return "trace"


@pytest.fixture
def tokens(tmp_path):
    file = CredentialFile(tmp_path / "settings" / "credentials.json")
    found = {}
    for role in ("operator", "viewer"):
        credential, text = new_token(f"an-{role}", role, {})
        file.add(credential)
        found[role] = {"Authorization": f"Bearer {text}"}
    return found


@pytest.fixture
def server(tmp_path, tokens):
    server = lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path / "settings")

    @server.app.post("/of-the-lab")
    def of_the_lab() -> str:
        server.things["stage"].calls.append("route of the lab")
        return "done"

    return server


@pytest.fixture
def ask(port):
    """Send a request as it is written, and return the response, which has been read."""
    connections = []

    def send(method, path, headers, body=None, *, read=False):
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connections.append(line)
        line.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        if body is not None:
            headers = {"Content-Type": "application/json", "Content-Length": len(body), **headers}
        for name, value in headers.items():
            line.putheader(name, str(value))
        line.endheaders(body)
        response = line.getresponse()
        # A stream has no end.
        response.text = response.read() if read or response.status >= 400 else b""
        return response

    yield send
    for line in connections:
        line.close()


@pytest.fixture
def run(server, ask, tokens):
    """Run an action that leaves a blob and a file; return the Thing, and values for the paths."""
    headers = {**tokens["operator"], "Prefer": "wait=30"}
    started = ask("POST", "/stage/move", headers, b"{}", read=True)
    output = json.loads(started.text)["output"]
    assert output["media_type"] == "image/png"
    server.things["stage"].calls.clear()
    members = {
        "id": json.loads(started.text)["id"],
        "filename": "note.txt",
        "blob_id": output["href"].rpartition("/")[2],
    }
    return server.things["stage"], members


def all_paths(server, members):
    """Return every path of the server, with these values in it."""
    found = [path.format_map(members) for path in server.app.openapi()["paths"]]
    assert any("/files/note.txt" in path for path in found)
    assert f"/blob/{members['blob_id']}" in found
    return [*found, *MORE_PATHS]


def of_login(method, path):
    return path == "/session" and method in ("POST", "DELETE")


def test_a_stranger_learns_and_changes_nothing(server, ask, run):
    stage, members = run
    told = set()
    for path, method in itertools.product(all_paths(server, members), SAFE + CHANGING + ODD):
        if of_login(method, path):
            continue
        for headers in ({}, {"Authorization": "Bearer lt_wrong"}):
            answer = ask(method, path, headers, b"{}" if method in CHANGING else None)
            # 429: wrong tokens cost waiting times. 400: what is no path, or no method, of HTTP.
            assert answer.status in {400, 401, 429}, (method, path, headers)
            if answer.status == 401 and not headers and method != "HEAD":
                told.add(json.dumps({**json.loads(answer.text), "instance": ""}))
    assert len(told) == 1  # what there is answers like what there is not
    assert stage.calls == []


def test_a_viewer_changes_nothing(server, ask, run, tokens):
    stage, members = run
    for path, method in itertools.product(all_paths(server, members), CHANGING + ODD):
        if of_login(method, path):
            continue
        answer = ask(method, path, tokens["viewer"], b"{}" if method in CHANGING else None)
        assert answer.status in {400, 403}, (method, path)
    assert stage.calls == []
    assert (stage.speed, stage.zero) == (1.0, 0.0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1.elsewhere.example"},
    ],
)
def test_a_page_of_another_site_changes_nothing(server, ask, run, tokens, headers):
    stage, members = run
    for path, method in itertools.product(all_paths(server, members), CHANGING):
        answer = ask(method, path, {**tokens["operator"], **headers}, b"{}")
        assert answer.status in {400, 403}, (method, path)
    assert stage.calls == []


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example", "stage"])
def test_another_host_name_is_refused_on_every_path(server, ask, run, tokens, host):
    stage, members = run
    for path, method in itertools.product(all_paths(server, members), SAFE + CHANGING):
        answer = ask(method, path, {**tokens["operator"], "Host": host})
        assert answer.status in {400, 421}, (method, path)
    assert stage.calls == []


def test_the_operator_gets_what_the_others_did_not(ask, run, tokens):
    """The requests above were refused for who sent them, and not because they were wrong."""
    stage, members = run
    for method, path in [
        ("GET", f"/action_invocations/{members['id']}/files/note.txt"),
        ("GET", f"/blob/{members['blob_id']}"),
        ("GET", "/stage/position"),
        ("POST", "/stage/home"),
        ("POST", "/of-the-lab"),
        ("GET", "/docs"),
    ]:
        assert ask(method, path, tokens["operator"]).status == 200, path
    assert stage.calls == ["read", "home", "route of the lab"]
