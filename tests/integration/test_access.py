"""What every request passes before anything else: hosts, origins, limits, and the headers."""

from __future__ import annotations

import http.client
import socket

import httpx2
import pytest
from starlette.responses import HTMLResponse, Response

import labthings_fastapi as lt

FRIEND = "https://notebook.example"
EVIL = "http://evil.example"


class Stage(lt.Thing):
    """A stage that counts how often it was moved."""

    moves: int = lt.property(default=0, readonly=True)
    speed: float = lt.property(default=1.0)

    @lt.action(synchronous=True)
    def move(self) -> int:
        self.moves += 1
        return self.moves

    @lt.endpoint("post", "upload")
    async def upload(self, text: dict) -> dict:
        return text

    @lt.endpoint("get", "page")
    def page(self) -> Response:
        return HTMLResponse("<p>Hello</p>")


@pytest.fixture
def options():
    return {}


@pytest.fixture
def server(tmp_path, options):
    return lt.ThingServer.from_things(
        {"stage": Stage}, settings_folder=str(tmp_path / "settings"), **options
    )


@pytest.fixture
def client(port):
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client


@pytest.fixture
def moves(client):
    return lambda: client.get("/stage/moves").json()


class TestHosts:
    @pytest.mark.parametrize(
        "host", ["localhost", "127.0.0.1", "[::1]", "10.0.0.7:5000", socket.gethostname()]
    )
    def test_own_names_and_addresses_are_answered(self, client, host):
        assert client.get("/stage/speed", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "a b", ""]
    )
    @pytest.mark.parametrize("path", ["/stage/speed", "/", "/openapi.json", "/nothing", "/events"])
    def test_other_host_names_are_refused_on_every_path(self, client, assert_problem, host, path):
        answer = client.get(path, headers={"Host": host})
        problem = assert_problem(answer, 421)
        assert host in problem["detail"]
        assert "allowed_hosts" in problem["detail"]
        assert problem["instance"] == path

    @pytest.mark.parametrize("options", [{"allowed_hosts": ["Microscope.Lab.example"]}])
    def test_names_that_were_allowed_are_answered(self, client):
        good = client.get("/stage/", headers={"Host": "microscope.lab.example:81"})
        assert good.json()["base"] == "http://microscope.lab.example:81/"
        assert client.get("/stage/", headers={"Host": "lab.example"}).status_code == 421

    def test_without_a_host_the_request_is_bad(self, port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
            line.sendall(b"GET /stage/speed HTTP/1.1\r\nConnection: close\r\n\r\n")
            assert line.makefile("rb").readline().split()[1] == b"400"

    def test_two_hosts_are_one_too_many(self, port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
            line.sendall(
                b"GET /stage/speed HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n"
                b"Connection: close\r\n\r\n"
            )
            assert line.makefile("rb").readline().split()[1] == b"400"

    def test_a_client_in_this_process_may_use_any_host_name(self, server):
        with server.test_client() as client:
            assert client.get("/stage/speed", headers={"Host": "whatever"}).status_code == 200


class TestProxies:
    """Every client may send the headers in which a proxy names its client."""

    @pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
    @pytest.mark.parametrize("value", ["nonsense", "unknown", "127.0.0.1, nonsense"])
    def test_no_page_becomes_our_own_by_other_headers(
        self, client, assert_problem, moves, name, value
    ):
        # DNS rebinding. Such a page may send any header but these two.
        page = {"Host": "evil.example", "Origin": EVIL, name: value}
        assert_problem(client.post("/stage/move", headers=page), 421)
        assert_problem(client.get("/stage/speed", headers=page), 421)
        assert moves() == 0

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("X-Forwarded-For", "192.0.2.7"),
            ("X-Forwarded-For", "nonsense"),
            ("X-Forwarded-For", "127.0.0.1%nonsense"),
            ("X-Real-IP", "192.0.2.7"),
            ("Forwarded", "for=192.0.2.7;proto=http"),
            ("Forwarded", "for=unknown"),
        ],
    )
    def test_those_behind_a_proxy_are_not_on_this_computer(
        self, client, assert_problem, moves, name, value
    ):
        client.get("/stage/speed")
        problem = assert_problem(client.post("/stage/move", headers={name: value}), 403)
        assert "token create" in problem["detail"]
        assert_problem(client.get("/stage/speed", headers={name: value}), 403)
        assert moves() == 0

    @pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP"])
    def test_a_proxy_that_names_this_computer_is_allowed(self, client, name):
        assert client.get("/stage/speed", headers={name: "127.0.0.1"}).status_code == 200


class TestOrigins:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": EVIL},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": EVIL, "Content-Type": "text/plain"},
            {"Origin": EVIL, "Content-Type": "application/x-www-form-urlencoded"},
            {"Origin": FRIEND},
        ],
    )
    def test_a_foreign_page_moves_nothing(self, client, moves, assert_problem, headers):
        for send in (
            lambda: client.post("/stage/move", headers=headers, content=b""),
            lambda: client.post("/stage/move", headers=headers, content=b"{}"),
            lambda: client.put("/stage/speed", headers=headers, content=b"3"),
            lambda: client.request("DELETE", "/stage/speed", headers=headers),
            lambda: client.post("/stage/upload", headers=headers, content=b"{}"),
            lambda: client.post("/nothing/here", headers=headers),
        ):
            problem = assert_problem(send(), 403)
            assert "cors_origins" in problem["detail"]
        assert moves() == 0
        assert client.get("/stage/speed").json() == 1.0

    def test_a_page_of_the_server_itself_may(self, client, moves, port):
        own = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
        assert client.post("/stage/move", headers=own).json() == 1

    def test_a_browser_does_not_show_responses_to_a_foreign_page(self, client):
        answer = client.get("/stage/speed", headers={"Origin": EVIL})
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"

    def test_a_foreign_page_gets_no_stream(self, client, assert_problem):
        headers = {"Origin": EVIL, "Accept": "text/event-stream"}
        for path in ("/events", "/stage/speed", "/stage/properties"):
            assert_problem(client.get(path, headers=headers), 403)

    def test_a_preflight_of_a_foreign_page_is_refused(self, client, assert_problem):
        headers = {"Origin": EVIL, "Access-Control-Request-Method": "PUT"}
        answer = client.options("/stage/speed", headers=headers)
        assert_problem(answer, 403)
        assert "access-control-allow-origin" not in answer.headers

    @pytest.mark.parametrize("options", [{"cors_origins": [FRIEND]}])
    def test_a_page_that_was_allowed_moves_and_reads(self, client, moves):
        preflight = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
        answer = client.options("/stage/move", headers=preflight)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == FRIEND
        assert "PUT" in answer.headers["access-control-allow-methods"]
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        moved = client.post(
            "/stage/move", headers={"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}
        )
        assert moved.json() == 1
        assert moved.headers["access-control-allow-origin"] == FRIEND
        assert moved.headers["vary"] == "Origin"
        preflight["Origin"] = EVIL
        refused = client.options("/stage/move", headers=preflight)
        assert refused.is_error
        assert "access-control-allow-origin" not in refused.headers
        refused = client.post("/stage/move", headers={"Origin": EVIL})
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
        assert moves() == 1

    @pytest.mark.parametrize("options", [{"cors_origins": [FRIEND]}])
    def test_an_allowed_page_can_read_why_something_failed(self, client):
        answer = client.get("/nothing", headers={"Origin": FRIEND})
        assert answer.status_code == 404
        assert answer.headers["access-control-allow-origin"] == FRIEND

    @pytest.mark.parametrize(
        "origins", [["https://*.example"], ["https://a.example/x"], ["a.example"]]
    )
    def test_what_is_no_exact_origin_is_a_mistake_in_the_configuration(self, origins):
        with pytest.raises(ValueError, match=r"cors_origins\.0: .* is not an origin"):
            lt.ThingServer({"cors_origins": origins})


class TestLimits:
    @pytest.mark.parametrize("options", [{"max_body_bytes": 1000}])
    @pytest.mark.parametrize("path", ["/stage/move", "/stage/upload", "/nothing", "/session"])
    def test_a_large_body_is_refused_before_it_is_read(self, client, assert_problem, path, moves):
        headers = {"Content-Type": "application/json"}
        for content in (b'"' + b"x" * 2000 + b'"', iter([b'"', b"x" * 2000, b'"'])):
            answer = client.post(path, content=content, headers=headers)
            if path == "/nothing" and answer.status_code == 404:
                continue  # the body was not read
            problem = assert_problem(answer, 413)
            assert "1000 bytes" in problem["detail"]
        assert moves() == 0

    @pytest.mark.parametrize("options", [{"max_body_bytes": 1000}])
    def test_a_body_that_is_announced_is_refused_at_once(self, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.putrequest("PUT", "/stage/speed")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(10**12))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()

    def test_a_form_is_refused_where_no_files_are_accepted(self, client, assert_problem):
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        problem = assert_problem(client.post("/stage/upload", content=b"x", headers=form), 415)
        assert "takes no form" in problem["detail"]

    def test_json_that_is_too_deep_is_refused(self, client, assert_problem):
        deep = b"[" * 100_000 + b"]" * 100_000
        headers = {"Content-Type": "application/json"}
        assert_problem(client.put("/stage/speed", content=deep, headers=headers), 400)
        assert_problem(client.post("/stage/move", content=deep, headers=headers), 400)
        assert client.post("/stage/upload", content=deep, headers=headers).status_code in (400, 422)
        assert_problem(client.put("/stage/properties", content=deep, headers=headers), 400)


class TestHeaders:
    @pytest.mark.parametrize(
        "path", ["/", "/stage/", "/stage/speed", "/openapi.json", "/nothing", "/health"]
    )
    def test_every_response_forbids_guessing_its_media_type(self, client, path):
        headers = client.get(path).headers
        assert headers.get_list("x-content-type-options") == ["nosniff"]
        assert headers["cross-origin-resource-policy"] == "same-origin"

    def test_a_page_cannot_be_put_in_a_frame(self, client):
        headers = client.get("/stage/page").headers
        assert headers["content-security-policy"] == "frame-ancestors 'none'"

    def test_middleware_that_is_added_later_is_behind_the_access_checks(self, server):
        seen = []

        class Witness:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                if scope["type"] == "http":
                    seen.append(scope["path"])
                await self.app(scope, receive, send)

        server.app.add_middleware(Witness)
        with server.test_client() as client:
            client.post("/stage/move", headers={"Origin": EVIL})
            assert seen == []
            client.post("/stage/move")
            assert seen == ["/stage/move"]


class TestAddresses:
    """Which clients a server without authentication allows."""

    def test_clients_of_the_network_are_refused(self, server, assert_problem):
        with server.test_client(client=("192.0.2.7", 1234)) as client:
            answer = client.post("/stage/move", headers={"Host": "127.0.0.1"})
            problem = assert_problem(answer, 403)
            assert "192.0.2.7" in problem["detail"]
            assert "token create" in problem["detail"]

    @pytest.mark.parametrize("options", [{"security": {"insecure": True}}])
    def test_unless_the_server_is_configured_as_insecure(self, server):
        with server.test_client(client=("192.0.2.7", 1234)) as client:
            assert client.post("/stage/move", headers={"Host": "127.0.0.1"}).json() == 1

    def test_clients_of_this_computer_are_allowed(self, server):
        for address in ("127.0.0.1", "::1"):
            with server.test_client(client=(address, 1234)) as client:
                headers = {"Host": "localhost"}
                assert client.get("/stage/speed", headers=headers).status_code == 200
