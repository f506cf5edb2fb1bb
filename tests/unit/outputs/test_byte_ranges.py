"""Ranges and conditions of RFC 9110."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient

from labthings_fastapi.outputs.byte_ranges import select_bytes
from labthings_fastapi.outputs.media_types import content_disposition, safe_filename
from labthings_fastapi.outputs.routes import CHUNK, file_response

TIME = datetime(2026, 5, 1, 12, 0, 0, 500, UTC)
DATE = "Fri, 01 May 2026 12:00:00 GMT"
EARLIER = "Fri, 01 May 2026 11:59:59 GMT"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, (200, 0, 10)),
        ("bytes=0-3", (206, 0, 4)),
        ("bytes=4-", (206, 4, 10)),
        ("bytes=-3", (206, 7, 10)),
        ("bytes=-30", (206, 0, 10)),
        ("bytes=8-99", (206, 8, 10)),
        ("bytes=10-", (416, 0, 0)),
        ("bytes=-0", (416, 0, 0)),
        ("bytes=5-4", (200, 0, 10)),
        ("bytes=0-1,3-4", (200, 0, 10)),
        ("lines=1-2", (200, 0, 10)),
        ("bytes=-", (200, 0, 10)),
        ("bytes=a-b", (200, 0, 10)),
    ],
)
def test_one_range_is_sent_and_anything_else_is_the_whole(
    wanted: str | None, expected: tuple[int, int, int]
) -> None:
    headers = {} if wanted is None else {"range": wanted}
    assert select_bytes(headers, 10, '"a"', TIME) == expected


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-none-match": '"a"'}, 304),
        ({"if-none-match": 'W/"a", "b"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"b"'}, 200),
        ({"if-modified-since": DATE}, 304),
        ({"if-modified-since": EARLIER}, 200),
        ({"if-modified-since": "nonsense"}, 200),
        ({"if-match": '"b"'}, 412),
        ({"if-match": '"a"'}, 200),
        ({"range": "bytes=1-2", "if-range": '"a"'}, 206),
        ({"range": "bytes=1-2", "if-range": '"b"'}, 200),
        ({"range": "bytes=1-2", "if-range": DATE}, 206),
        ({"range": "bytes=1-2", "if-range": EARLIER}, 200),
    ],
)
def test_conditions_decide_whether_the_client_has_it(headers: dict[str, str], status: int) -> None:
    assert select_bytes(headers, 10, '"a"', TIME).status == status


def serve(path: Path) -> TestClient:
    app = FastAPI()

    @app.api_route("/file", methods=["GET", "HEAD"])
    def get() -> Response:
        return file_response(path)

    return TestClient(app)


def test_a_file_is_sent_whole_and_in_parts(tmp_path: Path) -> None:
    content = bytes(range(256)) * (2 * CHUNK // 256) + b"end"
    path = tmp_path / "scan.tif"
    path.write_bytes(content)
    client = serve(path)
    whole = client.get("/file")
    assert whole.content == content
    assert whole.headers["content-type"] == "image/tiff"
    assert whole.headers["content-disposition"] == 'inline; filename="scan.tif"'
    part = client.get("/file", headers={"range": f"bytes={CHUNK - 1}-{CHUNK}"})
    assert (part.status_code, part.content) == (206, content[CHUNK - 1 : CHUNK + 1])
    assert part.headers["content-range"] == f"bytes {CHUNK - 1}-{CHUNK}/{len(content)}"
    tag = {"if-none-match": whole.headers["etag"]}
    known = client.get("/file", headers=tag)
    assert (known.status_code, known.content) == (304, b"")
    beyond = client.get("/file", headers={"range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")
    head = client.head("/file")
    assert (head.headers["content-length"], head.content) == (str(len(content)), b"")


def test_another_file_has_another_tag(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    path.write_bytes(b"one")
    client = serve(path)
    first = client.get("/file").headers["etag"]
    path.write_bytes(b"three")
    assert client.get("/file", headers={"if-none-match": first}).content == b"three"


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("image/png", "inline"),
        ("text/plain; charset=utf-8", "inline"),
        ("image/svg+xml", "attachment"),
        ("text/html", "attachment"),
        ("application/pdf", "attachment"),
        ("*/*", "attachment"),
    ],
)
def test_only_images_and_plain_text_are_shown(media_type: str, kind: str) -> None:
    assert content_disposition(media_type, "a.bin") == f'{kind}; filename="a.bin"'


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\a.txt", "a.txt"),
        ('a"b\r\nc', "a_b__c"),
        ("..", ""),
        ("x" * 300 + ".tif", "x" * 196 + ".tif"),
        ("Probe µ.tif", "Probe µ.tif"),
    ],
)
def test_a_file_name_leads_nowhere(name: str, safe: str) -> None:
    assert safe_filename(name) == safe


def test_a_name_beyond_ascii_is_sent_in_both_forms() -> None:
    header = content_disposition("image/png", "Zelle é.png")
    assert header == "inline; filename=\"Zelle e.png\"; filename*=UTF-8''Zelle%20%C3%A9.png"
