"""No path leads out of the folders that the server gives files from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import labthings_fastapi as lt
from labthings_fastapi.invocation_contexts import get_invocation_directory
from labthings_fastapi.server.web.connection_limits import Limits

pytestmark = pytest.mark.timeout(180)  # a thousand requests, each on a connection of its own

SECRET = "what nobody may read"
OUTSIDE = ["secret.txt", "secret.js"]
UPWARDS = [
    "../",
    "..%2f",
    "..%2F",
    "%2e%2e/",
    "%2e%2e%2f",
    "..\\",
    "..%5c",
    "..;/",
    ".../",
    "....//",
    "%252e%252e%252f",
    "%c0%ae%c0%ae/",
    "./../",
    "x/../../",
    "..%00/",
    "//",
    "/%2f",
    "file:///",
]


class Scanner(lt.Thing):
    @lt.action
    def scan(self) -> str:
        folder = get_invocation_directory()
        (folder / "tile.txt").write_text("a tile")
        (folder / "below").mkdir()
        (folder / "below" / "secret.txt").write_text(SECRET)
        return str(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "settings"
    folder.mkdir()
    return folder


@pytest.fixture
def get(serve: Callable[..., Any], folder: Path) -> Callable[[str], bytes]:
    """Send a path as it is written, and return the whole answer."""
    server = lt.ThingServer.from_things({"scanner": Scanner}, settings_folder=folder)
    running = serve(server.app, Limits())

    def send(path: str, method: str = "GET") -> bytes:
        client = running.connect(
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            "Prefer: wait=30\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
        )
        parts = []
        while part := client.recv(65536):
            parts.append(part)
        client.close()
        return b"".join(parts)

    return send


def test_no_path_leads_out_of_a_folder(get: Callable[..., bytes], folder: Path) -> None:
    started = get("/scanner/scan", "POST")
    assert b" 201 " in started
    [run_folder] = folder.rglob("tile.txt")
    id = run_folder.parent.parent.name
    for parent in run_folder.parents:  # one beside every folder on the way up to the settings
        if parent == folder.parent.parent:
            break
        for name in OUTSIDE:
            (parent / name).write_text(SECRET)
    files = f"/action_invocations/{id}/files"
    assert get(f"{files}/tile.txt").endswith(b"\r\n\r\na tile")

    for base in (f"{files}/", "/ui/", "/ui/assets/", "/blob/", "/docs/", "/scanner/", "/", "//"):
        for up in UPWARDS:
            for depth in (1, 3):
                for name in OUTSIDE:
                    path = base + up * depth + name
                    answer = get(path)
                    assert SECRET.encode() not in answer, path
                    assert answer.split()[1] in {b"400", b"404", b"421"}, (path, answer[:100])
    for path in (f"/ui/{'x' * 300}.js", f"{files}/{'x' * 300}"):  # longer than a name may be
        assert get(path).split()[1] == b"404", path
    absolute = str(folder / "secret.txt")
    for path in (
        f"{files}/{absolute}",
        f"{files}/{absolute.replace('/', '%2f')}",
        f"{files}/below",
    ):
        assert get(path).split()[1] == b"404", path
    # A folder that the run itself has made belongs to its files.
    assert get(f"{files}/below%2fsecret.txt").split()[1] == b"200"
    assert get(f"{files}/below%2f..%2fbelow/secret.txt").split()[1] == b"404"


def test_a_link_in_the_folder_of_a_run_is_what_the_run_made_of_it(
    get: Callable[..., bytes], folder: Path
) -> None:
    """The code of a Thing may give any file to clients; a client can make no link."""
    get("/scanner/scan", "POST")
    [tile] = folder.rglob("tile.txt")
    secret = folder / "secret.txt"
    secret.write_text("given on purpose")
    (tile.parent / "given.txt").symlink_to(secret)
    id = tile.parent.parent.name
    for method in ("PUT", "POST", "PATCH", "DELETE"):
        path = f"/action_invocations/{id}/files/given.txt"
        assert get(path, method).split()[1] == b"405", method
    assert secret.read_text() == "given on purpose"
