"""The Thing of the README runs as printed, and responds as described."""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import server_process

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
    """Send JSON as curl does; return the status and the JSON of the response, or None."""
    sent = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else body.encode(),
        headers={} if body is None else {"Content-Type": "application/json"},
    )
    # The environment may name a proxy, which cannot reach loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(sent, timeout=PATIENCE_SECONDS) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


@pytest.fixture(scope="module")
def stage_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the README's module, as saved by a reader, in a process of its own."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "stage.py").write_text(printed_module(), "utf-8")
    with server_process(cwd=folder, command=(sys.executable, "-c", SERVE)) as server:
        yield f"{server.url}/stage"


def ended(url: str) -> dict[str, Any]:
    """Poll an invocation until it has ended, and return it."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < limit:
        status, invocation = request("GET", url)
        assert status == 200
        if invocation["status"] in {"completed", "failed"}:
            return dict(invocation)
    pytest.fail(f"the invocation {url} did not end")


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
    status, invocation = request("POST", f"{stage_url}/move", '{"distance": 0.5}')
    assert status == 201
    last = ended(urllib.parse.urljoin(stage_url, invocation["href"]))
    assert last["status"] == "completed"
    assert last["output"] == pytest.approx(before + 0.5)
    assert request("GET", f"{stage_url}/position") == (200, last["output"])


def test_deleting_the_invocation_stops_the_stage(stage_url: str) -> None:
    status, invocation = request("POST", f"{stage_url}/move", '{"distance": 100000}')
    assert status == 201
    url = urllib.parse.urljoin(stage_url, invocation["href"])
    assert request("DELETE", url)[0] == 204
    assert ended(url)["status"] == "failed"


@pytest.mark.parametrize("distance", ["1e999", '"NaN"', '"Infinity"'])
def test_a_distance_that_is_not_finite_is_refused(stage_url: str, distance: str) -> None:
    status, _ = request("POST", f"{stage_url}/move", f'{{"distance": {distance}}}')
    assert 400 <= status < 500


def test_every_path_that_the_readme_calls_exists(stage_url: str) -> None:
    """An outdated curl line would get 404."""
    calls = "\n".join(printed_blocks("sh"))
    paths = re.findall(r"http://127\.0\.0\.1:5000/stage(/\w*)", calls)
    assert paths
    # 405 is fine: the path is served for other methods.
    assert all(request("GET", stage_url + path)[0] != 404 for path in paths)
