"""Web pages that try to reach an instrument through a browser in the laboratory.

Chromium opens pages of an attacker. The attacker has no access to the laboratory's network, but the
browser has. Nothing may move and nothing may be read. Pages of the server itself, and of origins
that the configuration lists, work as before.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

import labthings_fastapi as lt
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_token

ATTEMPTS = Path(__file__).with_name("attempts.js").read_text("utf-8").rstrip().removesuffix(";")
ELEMENTS = ("img", "script", "link")
JSON = {"Content-Type": "application/json"}
MOVE = json.dumps({"distance": 5})
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


class Motor(lt.Thing):
    """What must not move."""

    position: float = lt.property(default=0.0)
    secret: str = lt.property(default="xyzzy")
    turned: lt.Event[float] = lt.event()

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.moves = []

    @lt.action
    def move(self, distance: float = 1.0) -> None:
        self.moves.append(distance)

    @lt.action
    def hold(self) -> None:
        """Run until it is cancelled."""
        lt.cancellable_sleep(600)


class Watched:
    """Passes everything on to an app, and notes what came and how it was answered."""

    def __init__(self, app):
        self._app = app
        self._changed = threading.Condition()
        self.seen = []

    async def __call__(self, scope, receive, send):
        async def record(message):
            status = message.get("status", {"websocket.accept": 101}.get(message["type"], 403))
            if message["type"].endswith((".start", ".accept", "websocket.close")):
                self._note(scope, status)
            await send(message)

        await self._app(scope, receive, record if scope["type"] != "lifespan" else send)

    def _note(self, scope, status):
        if scope["path"] == "/favicon.ico":
            return  # requested by the browser at any moment, and not by a page
        method = scope.get("method", "WEBSOCKET")
        with self._changed:
            self.seen.append((method, scope["path"], status))
            self._changed.notify_all()

    def wait_for(self, count, method):
        """Wait until this number of requests has responses; return their statuses."""

        def statuses():
            return [status for found, _, status in self.seen if found == method]

        with self._changed:
            assert self._changed.wait_for(lambda: len(statuses()) >= count, 30), self.seen
            return set(statuses())


@pytest.fixture
def attacker():
    """The port of a web server with an empty page; `/sandboxed` has no origin of its own."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            if self.path == "/sandboxed":
                self.send_header("Content-Security-Policy", "sandbox allow-scripts allow-forms")
            self.end_headers()
            self.wfile.write(b"<!doctype html><body>Win a prize!</body>")

        def log_message(self, *_):
            """Be quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield serving.server_address[1]
        serving.shutdown()
        thread.join(30)


@pytest.fixture
def config():
    return {}


@pytest.fixture
def lab(run_app, tmp_path, config):
    """A running server with a motor, and what came to it."""
    server = lt.ThingServer.from_things(
        {"motor": Motor}, settings_folder=str(tmp_path / "settings"), **config
    )
    watched = Watched(server.app)
    port = run_app(watched)
    return SimpleNamespace(
        server=server,
        motor=server.things["motor"],
        port=port,
        url=f"http://127.0.0.1:{port}",
        watched=watched,
    )


def attempt(page, way, *arguments):
    """Let a page try something, and return what it learns."""
    given = arguments[0] if len(arguments) == 1 else list(arguments)
    return page.evaluate(f"given => ({ATTEMPTS}).{way}(given)", given)


def open_as(kind, open_page, lab, attacker):
    """Open a page of the attacker; return it, and its URL for the laboratory."""
    if kind == "DNS rebinding":
        # The name led to the attacker when the page was loaded, and leads to the laboratory now:
        # the page is the server's own problem, but its origin is the attacker's.
        url = f"http://rebind.example:{lab.port}"
        page = open_page(f"{url}/")
        lab.watched.seen.clear()
        return page, url
    host = "127.0.0.1" if kind == "another port" else "localhost"
    path = "sandboxed" if kind == "no origin" else ""
    return open_page(f"http://{host}:{attacker}/{path}"), lab.url


@pytest.fixture(params=["another site", "another port", "no origin", "DNS rebinding"])
def hostile(request, open_page, lab, attacker):
    """A page of the attacker: its `page`, the laboratory's `url`, and the `status` of refusals."""
    page, url = open_as(request.param, open_page, lab, attacker)
    rebinding = request.param == "DNS rebinding"
    return SimpleNamespace(
        page=page, url=url, status=421 if rebinding else 403, rebinding=rebinding
    )


def requests_to(url, run):
    """What fetch may send, by name: URL and options."""
    move = f"{url}/motor/move"
    found = {}
    for mode in ("cors", "no-cors"):
        for credentials in ("omit", "include"):
            common = {"mode": mode, "credentials": credentials}
            post = {**common, "method": "POST"}
            for name, more in {
                "nothing": {},
                "JSON": {"headers": JSON, "body": MOVE},
                "JSON as text": {"headers": {"Content-Type": "text/plain"}, "body": MOVE},
                "JSON as a form": {"headers": {"Content-Type": FORMS[0]}, "body": MOVE},
                "a form with parts": {"form": True},
            }.items():
                found[f"POST {name}, {mode}, {credentials}"] = (move, post | more)
            put = {"headers": JSON, "body": "5"}
            for method, where, more in (
                ("PUT", "motor/position", put),
                ("PUT", "motor/properties", {"headers": JSON, "body": '{"position": 5}'}),
                ("POST", "motor/position/reset", {}),
                ("DELETE", f"motor/hold/{run}", {}),
                ("DELETE", f"action_invocations/{run}", {}),
            ):
                options = {**common, "method": method, **more}
                found[f"{method} {where}, {mode}, {credentials}"] = (f"{url}/{where}", options)
            for where in ("", "motor/secret", "motor/properties", "things/", "openapi.json"):
                found[f"GET /{where}, {mode}, {credentials}"] = (f"{url}/{where}", common)
    return found


@contextlib.contextmanager
def nothing_moves(lab):
    """Check that the motor stands still all the while, and that a run goes on."""
    hold = lab.motor.action_descriptors["hold"]
    run = lab.server.action_manager.invoke_action(
        hold, lab.motor, input=hold.input_schema.validate_json("{}")
    )
    lab.motor.position = 2.5
    yield str(run.id)
    assert lab.motor.moves == []
    assert lab.motor.position == 2.5
    assert [each.id for each in lab.server.action_manager.invocations] == [run.id]
    assert not run.snapshot().cancel_requested
    assert run.cancel()


def test_no_request_of_a_hostile_page_moves_anything_or_is_read(lab, hostile):
    with nothing_moves(lab) as run:
        learned = {
            name: attempt(hostile.page, "request", *request)
            for name, request in requests_to(hostile.url, run).items()
        }
    readable = {name: found for name, found in learned.items() if found["text"]}
    if hostile.rebinding:  # the same origin, for the browser: it may read that it is refused
        assert {found["status"] for found in learned.values() if found["status"]} == {421}
        assert not any("xyzzy" in found["text"] for found in learned.values())
    else:
        assert readable == {}
    came = {(method, status) for method, _, status in lab.watched.seen}
    changes = {each for each in came if each[0] in ("POST", "PUT", "DELETE")}
    assert ("POST", hostile.status) in changes
    assert {status for _, status in changes} == {hostile.status}


def test_no_form_and_no_beacon_of_a_hostile_page_moves_anything(lab, hostile):
    move = f"{hostile.url}/motor/move"
    with nothing_moves(lab):
        for enctype in FORMS:
            attempt(hostile.page, "form", move, enctype, '{"distance": 5, "a": "', '"}')
        for type in (*FORMS[::2], ""):
            assert attempt(hostile.page, "beacon", move, type, MOVE)
        attempt(hostile.page, "beacon", move, "application/json", MOVE)
        statuses = lab.watched.wait_for(len(FORMS) + 3, "POST")
    assert statuses == {hostile.status}


def test_no_stream_and_no_socket_opens_for_a_hostile_page(lab, hostile):
    streams = ("events", "motor/events", "motor/turned", "motor/position", "motor/properties")
    learned = [
        attempt(hostile.page, "stream", f"{hostile.url}/{path}", "position", None)
        for path in (*streams, "directory/events")
    ]
    assert set(learned) == {"refused"}
    assert lab.watched.wait_for(len(learned), "GET") - {200} == {hostile.status}
    socket = hostile.url.replace("http:", "ws:")
    learned = [attempt(hostile.page, "socket", f"{socket}/{path}") for path in ("ws", "motor/ws")]
    assert learned == ["refused"] * 2
    assert lab.watched.wait_for(2, "WEBSOCKET") == {hostile.status}


def test_nothing_is_read_by_putting_it_into_a_hostile_page(lab, hostile):
    with nothing_moves(lab):
        for path in ("motor/secret", "motor/properties", "motor/move", "things/"):
            url = f"{hostile.url}/{path}"
            learned = {tag: attempt(hostile.page, "element", tag, url) for tag in ELEMENTS}
            assert learned == dict.fromkeys(ELEMENTS, "refused"), path
            framed = attempt(hostile.page, "frame", url)
            if hostile.rebinding:
                assert "xyzzy" not in framed
                assert '"status":421' in framed
            else:
                assert framed == "unreadable"
        hostile.page.goto(f"{hostile.url}/motor/move")


def test_a_page_of_the_server_itself_can_do_it_all(lab, open_page):
    page = open_page(f"{lab.url}/docs")
    works(page, lab, lab.url)
    assert attempt(page, "beacon", f"{lab.url}/motor/move", "application/json", MOVE)
    assert lab.watched.wait_for(3, "POST") == {201}


def works(page, lab, url):
    """Check that a page can move the motor, read, stop a run and follow a property."""
    json_move = {"method": "POST", "headers": JSON, "body": MOVE}
    begun = attempt(page, "request", f"{url}/motor/move", json_move)
    assert begun["status"] == 201
    put = {"method": "PUT", "headers": JSON, "body": "7.5"}
    assert attempt(page, "request", f"{url}/motor/position", put)["status"] == 204
    assert attempt(page, "request", f"{url}/motor/position", {})["text"] == "7.5"
    put["body"] = "8.5"
    change = [f"{url}/motor/position", put]
    assert attempt(page, "stream", f"{url}/motor/position", "position", change) == "8.5"
    held = attempt(page, "request", f"{url}/motor/hold", {"method": "POST"})
    href = json.loads(held["text"])["href"]
    assert attempt(page, "request", href, {"method": "DELETE"})["status"] == 204
    ended = {"headers": {"Prefer": "wait=30"}}
    assert '"failed"' in attempt(page, "request", href, ended)["text"]
    attempt(page, "request", json.loads(begun["text"])["href"], ended)
    assert lab.motor.moves == [5]
    assert lab.motor.position == 8.5


class TestAListedOrigin:
    """A page elsewhere that the configuration lists."""

    @pytest.fixture
    def config(self, attacker):
        return {"cors_origins": [f"http://localhost:{attacker}"]}

    def test_it_can_do_it_all(self, lab, open_page, attacker):
        works(open_page(f"http://localhost:{attacker}/"), lab, lab.url)

    def test_it_cannot_send_json_with_a_media_type_that_needs_no_preflight(
        self, lab, open_page, attacker
    ):
        page = open_page(f"http://localhost:{attacker}/")
        with nothing_moves(lab):
            text = {"method": "POST", "headers": {"Content-Type": "text/plain"}, "body": MOVE}
            assert attempt(page, "request", f"{lab.url}/motor/move", text)["status"] == 415

    @pytest.mark.parametrize("kind", ["another port", "no origin", "DNS rebinding"])
    def test_other_pages_are_refused_as_before(self, lab, open_page, attacker, kind):
        page, url = open_as(kind, open_page, lab, attacker)
        with nothing_moves(lab) as run:
            for name, request in requests_to(url, run).items():
                assert "xyzzy" not in attempt(page, "request", *request)["text"], name
        changing = [status for method, _, status in lab.watched.seen if method == "POST"]
        assert set(changing) == {421 if kind == "DNS rebinding" else 403}


class TestSignedIn:
    """A user has signed in with a token, so the browser has a cookie."""

    @pytest.fixture
    def token(self, tmp_path):
        credential, text = new_token("alice", "operator")
        CredentialFile(tmp_path / "settings" / "credentials.json").add(credential)
        return text

    @pytest.fixture
    def config(self, token):
        return {"security": "required"}

    @pytest.fixture
    def sign_in(self, lab, open_page):
        def show(token):
            page = open_page(f"{lab.url}/")
            page.get_by_label("Token").fill(token)
            page.get_by_role("button").click()
            return page

        return show

    @pytest.fixture
    def signed_in(self, sign_in, token):
        page = sign_in(token)
        page.get_by_text("motor").first.wait_for()
        return page

    def test_the_page_works_and_scripts_cannot_see_the_cookie(self, lab, signed_in, token):
        works(signed_in, lab, lab.url)
        (cookie,) = signed_in.context.cookies()
        assert cookie["name"].startswith("labthings_session")
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        kept = "[document.cookie, ...Object.values(localStorage), ...Object.values(sessionStorage)]"
        assert signed_in.evaluate(kept) == [""]
        assert token not in cookie["value"]

    def test_the_docs_page_works_with_it(self, lab, signed_in):
        signed_in.goto(f"{lab.url}/docs")
        signed_in.locator(".opblock").first.wait_for()
        assert attempt(signed_in, "request", f"{lab.url}/motor/secret", {})["text"] == '"xyzzy"'

    def test_signing_out_ends_it(self, lab, signed_in):
        end = {"method": "DELETE"}
        assert attempt(signed_in, "request", f"{lab.url}/session", end)["status"] == 204
        assert signed_in.context.cookies() == []
        assert attempt(signed_in, "request", f"{lab.url}/motor/secret", {})["status"] == 401

    def test_without_a_token_nothing_is_shown_and_a_wrong_one_is_refused(self, lab, sign_in):
        page = sign_in("lt_wrong")
        page.locator("output", has_text=" ").wait_for()
        assert "token" in page.locator("output").inner_text()
        assert page.context.cookies() == []
        for path in ("motor/secret", "things/", "openapi.json", "docs"):
            learned = attempt(page, "request", f"{lab.url}/{path}", {})
            assert learned["status"] == 401
            # The path that was asked for comes back, and nothing else.
            assert "motor" not in learned["text"].replace(f"/{path}", "")
        learned = attempt(page, "stream", f"{lab.url}/motor/position", "position", None)
        assert learned == "refused"

    @pytest.mark.parametrize("kind", ["another site", "another port", "no origin"])
    def test_the_cookie_is_of_no_use_to_hostile_pages(
        self, lab, open_page, attacker, signed_in, kind
    ):
        """To another port of the same host, the browser does send it."""
        page, url = open_as(kind, open_page, lab, attacker)
        lab.watched.seen.clear()
        with nothing_moves(lab) as run:
            for name, request in requests_to(url, run).items():
                assert attempt(page, "request", *request)["text"] == "", name
        came = {(method, status) for method, _, status in lab.watched.seen}
        assert {status for method, status in came if method == "POST"} == {403}
        assert {status for method, status in came if method == "GET"} == {401, 403}


class TestSockets:
    """WebSockets open for the server's own pages, and for those of origins that are listed."""

    @pytest.fixture
    def config(self, attacker):
        pytest.importorskip(
            "labthings_fastapi.bindings.websocket.websocket_binding",
            reason="this server has no WebSockets",
        )
        return {"cors_origins": [f"http://localhost:{attacker}"]}

    @pytest.mark.parametrize("path", ["ws", "motor/ws"])
    def test_they_open_for_pages_that_may(self, lab, open_page, attacker, path):
        socket = f"ws://127.0.0.1:{lab.port}/{path}"
        assert attempt(open_page(f"{lab.url}/docs"), "socket", socket) == "open"
        assert attempt(open_page(f"http://localhost:{attacker}/"), "socket", socket) == "open"
        assert attempt(open_page(f"http://127.0.0.1:{attacker}/"), "socket", socket) == "refused"
