"""The page on which a user of a browser signs in with a token or a password."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from string import Template

_PAGE = resources.files(__package__).joinpath("login_page.html").read_text("utf-8")


def _hash(element: str) -> str:
    text = re.findall(f"<{element}>(.*)</{element}>", _PAGE, re.DOTALL)[0]
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_POLICY = (
    f"default-src 'none'; script-src 'sha256-{_hash('script')}'; "
    f"style-src 'sha256-{_hash('style')}'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def wants_page(method: str, headers: Mapping[bytes, bytes]) -> bool:
    if method != "GET" or b"text/html" not in headers.get(b"accept", b""):
        return False
    return headers.get(b"sec-fetch-mode", b"navigate") == b"navigate"


def login_page(session_path: str) -> tuple[bytes, str, dict[str, str]]:
    session = html.escape(json.dumps(session_path)[1:-1], quote=True)
    text = Template(_PAGE).substitute(session=session)
    return text.encode(), "text/html; charset=utf-8", {"Content-Security-Policy": _POLICY}
