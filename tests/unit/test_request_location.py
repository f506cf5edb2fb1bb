"""Where a client reached the server."""

from __future__ import annotations

import pytest

from labthings_fastapi.request_location import base_url, request_path, root_path


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("/stage/speed", "", "/stage/speed"),
        ("/lab/stage/speed", "/lab", "/stage/speed"),
        ("/stage/speed", "/lab", "/stage/speed"),  # a proxy has removed the root path
        ("/labstage/speed", "/lab", "/labstage/speed"),
        ("/lab", "/lab", ""),
    ],
)
def test_a_path_is_without_the_root_path(path, root, below):
    assert request_path({"path": path, "root_path": root}) == below


@pytest.mark.parametrize(("root", "expected"), [("/lab/", "/lab"), ("", ""), (None, "")])
def test_a_root_path_has_no_slash_at_its_end(root, expected):
    assert root_path({} if root is None else {"root_path": root}) == expected


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [("ws", "http://lab:1"), ("wss", "https://lab:1"), ("http", "http://lab:1")],
)
def test_the_base_url_of_a_socket_is_one_of_http(scheme, expected):
    assert base_url({"scheme": scheme, "headers": [(b"host", b"lab:1")]}) == expected
