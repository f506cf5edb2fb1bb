"""Tokens, passwords, sessions and roles, and the actors in the journal."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import labthings_fastapi as lt
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_password, new_token
from labthings_fastapi.server.access.authenticated_connections import (
    REASON,
    AuthenticatedConnections,
)
from labthings_fastapi.server.access.checks import check_listen_host, warn_of_exposure

FORM = "multipart/form-data; boundary=x"
READ = json.dumps({"messageType": "request", "operation": "readproperty", "name": "speed"})
MOVE = json.dumps({"messageType": "request", "operation": "invokeaction", "name": "move"})


class Stage(lt.Thing):
    """A stage."""

    speed: float = lt.property(default=1.0, gt=0)

    @lt.property
    def position(self) -> float:
        return 0.0

    @lt.action
    def move(self, distance: float = 1.0) -> float:
        return distance

    @lt.action
    def wait(self) -> None:
        lt.cancellable_sleep(60)

    @lt.endpoint("post", "home")
    def home(self) -> str:
        return "home"


@pytest.fixture
def file(tmp_path):
    return CredentialFile(tmp_path / "settings" / "credentials.json")


@pytest.fixture
def token(file):
    """Make tokens: by name, role, and roles for single Things."""

    def make(name, role, **things):
        credential, text = new_token(name, role, things)
        file.add(credential)
        return {"Authorization": f"Bearer {text}"}

    return make


@pytest.fixture
def alice(token):
    return token("alice", "operator")


@pytest.fixture
def victor(token):
    return token("victor", "viewer", camera="operator")


@pytest.fixture
def server(tmp_path, alice, victor):
    return lt.ThingServer.from_things(
        {"stage": Stage, "camera": Stage}, settings_folder=str(tmp_path / "settings")
    )


@pytest.fixture
def client(port):
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client


EVERYWHERE = [
    "/",
    "/stage/",
    "/stage/speed",
    "/stage/properties",
    "/stage/ws",
    "/things/",
    "/thing_descriptions/",
    "/action_invocations",
    "/journal",
    "/events",
    "/health",
    "/openapi.json",
    "/blob/unknown",
    "/.well-known/wot",
    "/directory/things",
    "/session",
    "/nothing",
]


class TestWithout:
    @pytest.mark.parametrize("path", EVERYWHERE)
    def test_nothing_is_answered(self, client, assert_problem, path):
        answer = client.get(path)
        problem = assert_problem(answer, 401)
        assert answer.headers["www-authenticate"] == 'Bearer realm="LabThings"'
        assert "Authorization: Bearer" in problem["detail"]

    @pytest.mark.parametrize(
        "value", ["Bearer nonsense", "Bearer", "nonsense", "Basic eDp5", "Bearer \xff"]
    )
    def test_a_wrong_token_opens_nothing(self, client, assert_problem, value):
        headers = {"Authorization": value.encode("latin-1")}
        answer = client.put("/stage/speed", json=3, headers=headers)
        assert_problem(answer, 401)
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]

    def test_a_person_is_shown_a_page_to_show_a_token_on(self, client):
        answer = client.get("/", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert 'data-session="/session"' in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


class TestRoles:
    def test_a_viewer_reads_and_moves_nothing(self, client, victor, assert_problem):
        assert client.get("/stage/speed", headers=victor).json() == 1.0
        for method, path in (
            ("PUT", "/stage/speed"),
            ("PUT", "/stage/properties"),
            ("POST", "/stage/move"),
            ("POST", "/stage/speed/reset"),
            ("POST", "/stage/home"),
            ("DELETE", "/stage/move/5f0c0e3c-3f7b-4b53-9d5a-0c8d6a0f0b9b"),
        ):
            problem = assert_problem(client.request(method, path, headers=victor, json={}), 403)
            assert problem["detail"] == (
                "Forbidden: 'victor' has role 'viewer' on 'stage'; 'operator' is required."
            )

    def test_a_role_for_one_thing_holds_there_only(self, client, victor):
        assert client.put("/camera/speed", headers=victor, json=2).status_code == 204
        assert client.put("/stage/speed", headers=victor, json=2).status_code == 403

    def test_an_operator_moves(self, client, alice):
        assert client.put("/stage/speed", headers=alice, json=2).status_code == 204
        assert client.post("/stage/move", headers=alice).status_code == 201
        assert client.post("/stage/home", headers=alice).json() == "home"

    def test_a_run_is_cancelled_by_those_who_may_use_its_thing(self, client, alice, victor):
        mine = client.post("/stage/wait", headers=alice).json()
        theirs = client.post("/camera/wait", headers=alice).json()
        for run, status in ((mine, 403), (theirs, 204)):
            path = f"/action_invocations/{run['id']}"
            assert client.delete(path, headers=victor).status_code == status
        assert client.delete(mine["href"], headers=alice).status_code == 204

    def test_every_client_can_read_its_name_and_role(self, client, victor):
        assert client.get("/session", headers=victor).json() == {
            "name": "victor",
            "role": "viewer",
            "things": {"camera": "operator"},
        }


class TestChanges:
    def test_a_token_made_or_revoked_while_the_server_runs_counts_soon(
        self, client, alice, token, file
    ):
        later = token("later", "viewer")
        deadline = time.monotonic() + 60
        while client.get("/health", headers=later).status_code == 401:
            assert time.monotonic() < deadline
        file.remove("later")
        while client.get("/health", headers=later).status_code == 200:
            assert time.monotonic() < deadline
        assert client.get("/health", headers=alice).status_code == 200

    def test_after_a_quiet_night_the_first_request_counts_already(
        self, client, file, token, alice, monkeypatch
    ):
        monkeypatch.setattr("labthings_fastapi.server.access.authentication.REFRESH_SECONDS", 0.0)
        carol = token("carol", "operator")
        assert client.put("/stage/speed", json=2, headers=carol).status_code == 204
        file.remove("carol")
        assert client.put("/stage/speed", json=3, headers=carol).status_code == 401
        dave = token("dave", "operator")
        assert client.post("/session", headers=dave).status_code == 204
        file.remove("dave")
        assert client.get("/session").status_code == 401
        assert client.post("/session", headers=dave).status_code == 401


class TestPasswords:
    @pytest.fixture
    def alice(self, file, token):
        file.add(new_password("bob", "correct horse", "operator"))
        return token("alice", "operator")

    def test_a_name_and_a_password_are_as_good_as_a_token(self, client):
        for password, status in (("correct horse", 204), ("wrong horse", 401)):
            answer = client.put("/stage/speed", json=2, auth=("bob", password))
            assert answer.status_code == status
        assert answer.headers["www-authenticate"].endswith(
            'Basic realm="LabThings", charset="UTF-8"'
        )

    def test_the_description_states_both_ways(self, client, alice):
        found = client.get("/stage/", headers=alice).json()
        assert found["security"] == "either_sc"
        assert found["securityDefinitions"]["either_sc"]["oneOf"] == ["bearer_sc", "basic_sc"]

    def test_a_session_may_be_begun_with_a_password(self, client):
        login = {"name": "bob", "password": "correct horse"}
        assert client.post("/session", json=login).status_code == 204
        assert client.get("/session").json()["name"] == "bob"


class TestSessions:
    def test_a_token_is_exchanged_for_a_cookie_that_pages_cannot_read(self, client, alice):
        answer = client.post("/session", json={"token": alice["Authorization"].split()[1]})
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"]
        for attribute in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
            assert attribute in cookie
        assert alice["Authorization"].split()[1] not in cookie
        assert client.put("/stage/speed", json=4).status_code == 204
        assert client.delete("/session").status_code == 204
        assert client.get("/stage/speed").status_code == 401

    def test_a_header_does_as_well_as_a_body(self, client, alice):
        assert client.post("/session", headers=alice).status_code == 204
        assert client.get("/session").json()["name"] == "alice"

    def test_a_client_without_authentication_may_not_send_much(self, client, assert_problem):
        large = b'{"token": "' + b"x" * 100_000 + b'"}'
        json_chunked = (iter([large]), "application/json")
        for content, kind in ((large, "application/json"), (large, FORM), json_chunked):
            answer = client.post("/session", content=content, headers={"Content-Type": kind})
            problem = assert_problem(answer, 413)
            assert "a name and a password" in problem["detail"]

    def test_a_wrong_token_begins_nothing(self, client, assert_problem):
        for login in ({"token": "x"}, {"name": "bob", "password": "x"}, {}):
            answer = client.post("/session", json=login)
            assert_problem(answer, 401)
            assert "set-cookie" not in answer.headers

    def test_signing_out_ends_the_streams_and_sockets_of_the_session_and_no_others(
        self, client, alice, port, subscribe
    ):
        cookies = []
        for _ in range(2):
            answer = client.post("/session", headers=alice)
            cookies.append({"Cookie": answer.headers["set-cookie"].partition(";")[0]})
        client.cookies.clear()
        mine, other = (subscribe("/events", **cookie) for cookie in cookies)
        with (
            connect(f"ws://127.0.0.1:{port}/stage/ws", additional_headers=cookies[0]) as socket,
            connect(f"ws://127.0.0.1:{port}/stage/ws", additional_headers=cookies[1]) as stays,
        ):
            assert client.delete("/session", headers=cookies[0]).status_code == 204
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=30)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            mine.response.read()
            assert mine.response.isclosed()
            stays.send(READ)
            assert json.loads(stays.recv(timeout=30))["value"] == 1.0
            assert not other.response.isclosed()

    def test_a_session_that_ends_by_itself_ends_what_it_opened(
        self, client, alice, subscribe, monkeypatch
    ):
        monkeypatch.setattr(
            "labthings_fastapi.security.sessions.SESSION_SECONDS", 0.5
        )  # instead of twelve hours
        answer = client.post("/session", headers=alice)
        client.cookies.clear()
        cookie = answer.headers["set-cookie"].partition(";")[0]
        stream = subscribe("/events", Cookie=cookie)
        stream.response.read()
        assert stream.response.isclosed()
        assert client.get("/health", headers={"Cookie": cookie}).status_code == 401
        assert client.get("/health", headers=alice).status_code == 200

    def test_the_cookie_does_not_work_from_another_origin(
        self, client, alice, assert_problem, port
    ):
        client.post("/session", headers=alice)
        own = {"Origin": f"http://127.0.0.1:{port}"}
        assert client.put("/stage/speed", json=5, headers=own).status_code == 204
        evil = {"Origin": "http://127.0.0.1:1"}
        assert_problem(client.put("/stage/speed", json=6, headers=evil), 403)
        # Another port of this host is the same site, to which browsers send the cookie.
        assert_problem(client.get("/stage/speed", headers=evil), 401)
        assert_problem(client.get("/stage/speed", headers={"Sec-Fetch-Site": "same-site"}), 401)


class TestDescriptions:
    def test_they_state_what_is_enforced(self, client, alice):
        for path in ("/stage/", "/.well-known/wot"):
            found = client.get(path, headers=alice).json()
            definitions = found["securityDefinitions"]
            assert list(definitions) == ["bearer_sc", "basic_sc", found["security"]]
            either = {"scheme": "combo", "oneOf": ["bearer_sc", "basic_sc"]}
            assert definitions[found["security"]] == either
            assert definitions["bearer_sc"]["scheme"] == "bearer"
            basic = definitions["basic_sc"]
            assert (basic["scheme"], basic["name"]) == ("basic", "Authorization")

    @pytest.mark.parametrize("name", ["alice", "anybody", ""])
    def test_a_token_is_a_password_of_basic_with_any_name(self, client, alice, name):
        """The WoT Profiles (section 5.3) know no bearer tokens."""
        token = alice["Authorization"].partition(" ")[2]
        pair = base64.b64encode(f"{name}:{token}".encode()).decode()
        basic = {"Authorization": f"Basic {pair}"}
        assert client.put("/stage/speed", json=2, headers=basic).status_code == 204
        wrong = base64.b64encode(f"{name}:{token}x".encode()).decode()
        assert client.get("/stage/", headers={"Authorization": f"Basic {wrong}"}).status_code == 401

    def test_so_does_the_openapi_document(self, client, alice):
        document = client.get("/openapi.json", headers=alice).json()
        schemes = document["components"]["securitySchemes"]
        assert schemes["bearer"] == {"type": "http", "scheme": "bearer"}
        assert (schemes["session"]["in"], schemes["session"]["type"]) == ("cookie", "apiKey")
        assert {"bearer": []} in document["security"]
        assert document["paths"]["/session"]["post"]["security"] == []
        assert "security" not in document["paths"]["/session"]["get"]

    def test_the_thing_itself_has_the_same_security(self, server):
        server.things["stage"].validate_thing_description()
        assert server.things["stage"].thing_description_dict()["security"] == "either_sc"

    def test_health_has_the_same_security(self, client, alice):
        found = client.get("/health", headers=alice).json()["security"]
        assert found == {"authentication": ["bearer", "basic"], "insecure": False}


class TestJournal:
    @pytest.fixture
    def dial_as_victor(self, port, victor):
        with connect(f"ws://127.0.0.1:{port}/stage/ws", additional_headers=victor) as socket:
            yield socket

    @pytest.fixture
    def counted_together(self, monkeypatch):
        """Count requests that are alike for longer than the slowest test takes."""
        monkeypatch.setattr("labthings_fastapi.server.access.audit.GATHER_SECONDS", 600.0)

    def test_a_run_names_its_actor(self, client, alice):
        run = client.post("/stage/move", headers={**alice, "Prefer": "wait=30"}).json()
        record = client.get(f"/journal/{run['id']}", headers=alice).json()
        assert (record["requestedBy"], record["address"]) == ("alice", "127.0.0.1")
        assert record["kind"] == "run"

    @pytest.mark.usefixtures("counted_together")
    def test_every_mutation_names_its_actor(self, client, alice, victor):
        for value in (2, 3, 4):
            client.put("/stage/speed", json=value, headers=alice)
        client.post("/stage/speed/reset", headers=alice)
        run = client.post("/stage/wait", headers=alice).json()
        client.delete(run["href"], headers=alice)
        client.put("/camera/speed", json=2, headers=victor)
        client.put("/stage/speed", json=2, headers=victor)  # refused
        client.put("/camera/speed", json=-1, headers=victor)  # not valid

        def done_by(name):
            page = client.get("/journal", params={"actor": name}, headers=alice).json()
            return {(each["kind"], each["thing"], each["action"]): each for each in page["records"]}

        found = done_by("alice")
        assert set(found) == {
            ("mutation", "stage", "speed"),
            ("mutation", "stage", "speed/reset"),
            ("mutation", "stage", f"wait/{run['id']}"),
            ("run", "stage", "wait"),
        }
        written = found["mutation", "stage", "speed"]
        assert written["request"] == {
            "method": "PUT",
            "path": "/stage/speed",
            "status": 204,
            "count": 3,
        }
        assert written["requestedBy"] == "alice"
        assert written["address"] == "127.0.0.1"
        assert written["timeRequested"] <= written["timeCompleted"]
        found = done_by("victor")
        assert found["mutation", "camera", "speed"]["request"]["count"] == 1
        assert found["mutation", "stage", "speed"]["request"]["status"] == 403
        assert found["mutation", "stage", "speed"]["status"] == "error"
        assert done_by("nobody") == {}

    def test_without_an_actor_the_journal_lists_runs(self, client, alice):
        client.put("/stage/speed", json=2, headers=alice)
        client.post("/stage/move", headers={**alice, "Prefer": "wait=30"})
        kinds = {
            asked: {
                record["kind"]
                for record in client.get("/journal", params=params, headers=alice).json()["records"]
            }
            for asked, params in (
                ("plain", {}),
                ("all", {"kind": "all"}),
                ("mutations", {"kind": "mutation"}),
                ("runs of alice", {"kind": "run", "actor": "alice"}),
            )
        }
        assert kinds == {
            "plain": {"run"},
            "all": {"run", "mutation"},
            "mutations": {"mutation"},
            "runs of alice": {"run"},
        }

    def test_a_mutation_is_no_run(self, client, alice, assert_problem):
        client.put("/stage/speed", json=2, headers=alice)
        page = client.get("/journal", params={"actor": "alice"}, headers=alice).json()
        id = page["records"][0]["id"]
        assert client.get(f"/journal/{id}", headers=alice).json()["kind"] == "mutation"
        assert_problem(client.get(f"/action_invocations/{id}", headers=alice), 404)

    def test_mutations_outlive_the_server(self, server, tmp_path, alice):
        with server.test_client() as client:
            client.put("/stage/speed", json=2, headers=alice)
        again = lt.ThingServer.from_things(
            {"stage": Stage}, settings_folder=str(tmp_path / "settings")
        )
        with again.test_client() as client:
            page = client.get("/journal", params={"actor": "alice"}, headers=alice).json()
            assert [record["action"] for record in page["records"]] == ["speed"]

    def test_tokens_are_in_no_log(self, client, alice, caplog):
        text = alice["Authorization"].split()[1]
        caplog.set_level("DEBUG")
        client.post("/session", json={"token": text})
        client.post("/session", json={"token": text + "x"})
        client.put("/stage/speed", json=2, headers=alice)
        client.put("/stage/speed", json=2, headers={"Authorization": f"Bearer {text}y"})
        basic = base64.b64encode(f"bob:{text}z".encode()).decode()
        client.get("/health", headers={"Authorization": f"Basic {basic}"})
        assert "was refused" in caplog.text
        assert text not in caplog.text

    @pytest.mark.usefixtures("counted_together")
    def test_a_viewer_cannot_fill_the_journal(self, client, victor, alice, dial_as_victor):
        for number in range(100):
            path = f"/stage/{number}{'x' * 10_000}"
            assert client.post(path, headers=victor).status_code == 403
        write = {"messageType": "request", "operation": "writeproperty", "value": 1}
        for number in range(10):
            dial_as_victor.send(json.dumps({**write, "name": f"{number}{'x' * 10_000}"}))
            assert '"status":403' in dial_as_victor.recv(timeout=30)
        records = []
        while sum(each["request"]["count"] for each in records) < 110:
            answer = client.get(
                "/journal", params={"actor": "victor", "limit": 1000}, headers=alice
            )
            records = answer.json()["records"]
        assert len(answer.content) < 100_000
        assert len(records) < 100


class TestStart:
    def test_authentication_may_be_required(self, tmp_path):
        with pytest.raises(ValueError, match=r"security\.authentication: .* token create"):
            lt.ThingServer({"settings_folder": str(tmp_path), "security": "required"})

    def test_authentication_may_be_switched_off(self, server, tmp_path):
        off = lt.ThingServer.from_things(
            {"stage": Stage}, settings_folder=str(tmp_path / "settings"), security="off"
        )
        with off.test_client() as client:
            assert client.put("/stage/speed", json=2).status_code == 204
            assert client.get("/stage/").json()["security"] == "nosec_sc"
            assert client.post("/session", json={}).status_code == 409
            assert client.get("/session").json() == {"name": None, "role": "admin", "things": {}}

    def test_unreadable_credentials_stop_the_start(self, tmp_path):
        folder = tmp_path / "settings"
        folder.mkdir()
        (folder / "credentials.json").write_text("{")
        with pytest.raises(ValueError, match=r"credentials\.json cannot be read"):
            lt.ThingServer({"settings_folder": str(folder)})

    def test_a_network_address_needs_authentication(self, tmp_path):
        server = lt.ThingServer({"settings_folder": str(tmp_path)})
        with pytest.raises(RuntimeError, match="token create --role operator"):
            server.serve(host="0.0.0.0", port=0)  # noqa: S104

    @pytest.mark.parametrize(
        ("security", "tls", "expected"),
        [
            ({"insecure": True}, False, "INSECURE"),
            ({"insecure": True}, True, "INSECURE"),
            ("auto", False, "without encryption"),
            ("auto", True, ""),
        ],
    )
    def test_a_server_open_to_the_network_logs_a_warning_at_every_start(
        self, tmp_path, token, caplog, security, tls, expected
    ):
        if security == "auto":
            token("alice", "operator")
        folder = str(tmp_path / "settings")
        checks = lt.ThingServer({"settings_folder": folder, "security": security})._access
        check_listen_host(checks, "0.0.0.0")  # noqa: S104
        warn_of_exposure(checks, "127.0.0.1", tls=tls)
        assert "INSECURE" not in caplog.text
        warn_of_exposure(checks, "0.0.0.0", tls=tls)  # noqa: S104
        assert expected in caplog.text
        assert bool(caplog.records) is bool(expected)


class TestVisits:
    """Streams and sockets end with the token that opened them."""

    def test_a_stream_ends_when_its_token_is_revoked(self, subscribe, victor, file):
        stream = subscribe("/events", **victor)
        assert stream.response.status == 200
        file.remove("victor")
        stream.response.read()  # which returns when the stream ends
        assert stream.response.isclosed()

    def test_a_socket_closes_when_its_token_is_revoked(self, port, victor, file):
        with connect(f"ws://127.0.0.1:{port}/stage/ws", additional_headers=victor) as socket:
            socket.send(READ)
            assert json.loads(socket.recv(timeout=30))["value"] == 1.0
            file.remove("victor")
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=60)
            assert socket.close_code == 1008

    def test_a_socket_closes_when_its_role_changes(self, port, victor, file):
        with connect(f"ws://127.0.0.1:{port}/stage/ws", additional_headers=victor) as socket:
            changed = [
                each.model_copy(update={"role": "operator"}) if each.name == "victor" else each
                for each in file.credentials
            ]
            text = json.dumps([each.model_dump(mode="json") for each in changed])
            file.path.write_text(text)
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=60)
            assert socket.close_code == 1008

    def test_a_new_token_of_the_same_name_does_not_keep_the_old_one_alive(
        self, subscribe, victor, file
    ):
        stream = subscribe("/events", **victor)
        assert stream.response.status == 200
        (old,) = [each for each in file.credentials if each.name == "victor"]
        new, _ = new_token("victor", old.role, old.things)
        others = [each for each in file.credentials if each is not old]
        file.path.write_text(json.dumps([each.model_dump(mode="json") for each in [*others, new]]))
        stream.response.read()
        assert stream.response.isclosed()

    def test_a_flood_of_passwords_does_not_keep_a_revoked_token_alive(
        self, port, subscribe, victor, file
    ):
        file.add(new_password("bob", "correct horse", "operator"))
        stream = subscribe("/events", **victor)
        over = threading.Event()
        busy = threading.Event()

        def guess():
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as guesser:
                while not over.is_set():
                    wrong = {"name": "bob", "password": "wrong horse"}
                    if guesser.post("/session", json=wrong).status_code == 429:
                        busy.set()

        guessers = [threading.Thread(target=guess) for _ in range(40)]
        for each in guessers:
            each.start()
        try:
            assert busy.wait(60)
            file.remove("victor")
            stream.response.read()
        finally:
            over.set()
            for each in guessers:
                each.join()
        assert stream.response.isclosed()

    def test_others_stay_open(self, port, client, victor, file, alice):
        with connect(f"ws://127.0.0.1:{port}/stage/ws", additional_headers=alice) as socket:
            file.remove("victor")
            while client.get("/health", headers=victor).status_code == 200:
                socket.send(READ)
                assert json.loads(socket.recv(timeout=30))["value"] == 1.0
            socket.send(READ)
            assert json.loads(socket.recv(timeout=30))["value"] == 1.0

    def test_a_revoked_operator_moves_nothing_even_before_the_next_check(
        self, server, port, alice, file, monkeypatch
    ):
        monkeypatch.setattr(AuthenticatedConnections, "begin", lambda *_: None)
        runs = 0
        with connect(f"ws://127.0.0.1:{port}/stage/ws", additional_headers=alice) as socket:

            def move():
                socket.send(MOVE)
                return json.loads(socket.recv(timeout=30))

            assert "error" not in move()
            file.remove("alice")
            deadline = time.monotonic() + 60
            with contextlib.suppress(ConnectionClosed):
                while time.monotonic() < deadline:
                    runs += 1
                    assert "error" not in move()
            assert (socket.close_code, socket.close_reason) == (1008, REASON)
        assert len(server.action_manager.invocations) == runs
