"""The README keeps its word: its Thing runs as printed and answers what the README says."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[2] / "README.md"
PATIENCE_SECONDS = 60.0

# Imports the printed module, so that a free port can be chosen; the rest runs as printed.
SERVE = "import stage; stage.server.serve(host='127.0.0.1', port=0)"


def printed_blocks(language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def printed_module() -> str:
    return next(block for block in printed_blocks("python") if "class Stage" in block)


def request(method: str, url: str, body: str | None = None) -> tuple[int, Any]:
    """Send JSON as curl does; return the status and the JSON of the answer, if it has any."""
    asked = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else body.encode(),
        headers={} if body is None else {"Content-Type": "application/json"},
    )
    # No proxy stands between a test and loopback, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=PATIENCE_SECONDS) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def wait_until_served(server: subprocess.Popen[bytes], log: Path) -> str:
    """Return the URL at which it listens, once it does."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < limit:
        if server.poll() is not None:
            pytest.fail(f"the README's server ended:\n{log.read_text('utf-8', errors='replace')}")
        said = log.read_text("utf-8", errors="replace")
        if found := re.search(r"Listening on (http://127\.0\.0\.1:\d+)/ ", said):
            return found[1]
        # It is still starting. Whether it has ended is worth a moment's wait.
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.05)
    pytest.fail(f"the README's server does not listen:\n{log.read_text('utf-8')}")


@pytest.fixture(scope="module")
def stage_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the README's module, as saved by a reader, in a process of its own."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "stage.py").write_text(printed_module(), "utf-8")
    log = folder / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield f"{wait_until_served(server, log)}/stage"
        finally:
            server.terminate()
            try:
                server.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def ended_run(url: str) -> dict[str, Any]:
    """Poll a run, as the README says, until it has ended."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < limit:
        status, run = request("GET", url)
        assert status == 200
        if run["status"] in {"completed", "failed"}:
            return dict(run)
    pytest.fail(f"the run {url} did not end")


def test_the_printed_thing_is_described(stage_url: str) -> None:
    status, description = request("GET", f"{stage_url}/")
    assert status == 200
    assert set(description["properties"]) == {"speed", "position"}
    assert description["properties"]["speed"]["unit"] == "mm/s"
    assert set(description["actions"]) == {"move"}


def test_a_good_speed_is_kept_and_a_bad_one_refused(stage_url: str) -> None:
    assert request("PUT", f"{stage_url}/speed", "25") == (204, None)
    status, problem = request("PUT", f"{stage_url}/speed", "-1")
    assert (status, problem["status"]) == (422, 422)
    assert request("GET", f"{stage_url}/speed") == (200, 25.0)


def test_a_move_answers_at_once_and_arrives(stage_url: str) -> None:
    before = request("GET", f"{stage_url}/position")[1]
    status, run = request("POST", f"{stage_url}/move", '{"distance": 0.5}')
    assert status == 201
    ended = ended_run(urllib.parse.urljoin(stage_url, run["href"]))
    assert ended["status"] == "completed"
    assert ended["output"] == pytest.approx(before + 0.5)
    assert request("GET", f"{stage_url}/position") == (200, ended["output"])


def test_deleting_the_run_stops_the_stage(stage_url: str) -> None:
    status, run = request("POST", f"{stage_url}/move", '{"distance": 100000}')
    assert status == 201
    run_url = urllib.parse.urljoin(stage_url, run["href"])
    assert request("DELETE", run_url)[0] == 204
    assert ended_run(run_url)["status"] == "failed"


def test_every_path_that_the_readme_calls_exists(stage_url: str) -> None:
    """A curl line that has grown old would answer 404."""
    calls = "\n".join(printed_blocks("sh"))
    paths = re.findall(r"http://127\.0\.0\.1:5000/stage(/\w*)", calls)
    assert paths
    # A path that is served for other methods only answers 405.
    assert all(request("GET", stage_url + path)[0] != 404 for path in paths)
