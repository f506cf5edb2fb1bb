"""The page on which a user of a browser signs in with a token or a password."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping

_SCRIPT = """\
const form = document.querySelector("form");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(form));
  const login = fields.name ? {name: fields.name, password: fields.secret} : {token: fields.secret};
  const response = await fetch(form.dataset.session, {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify(login),
  });
  if (response.ok) {
    location.reload();
  } else {
    const problem = await response.json().catch(() => ({detail: "No answer: try again."}));
    document.querySelector("output").textContent = problem.detail;
  }
});
"""
_STYLE = """\
:root { color-scheme: light dark; font: 1.1rem/1.5 system-ui, sans-serif; }
body { max-width: 26rem; margin: 12vh auto; padding: 0 1rem; }
label { display: block; margin: 1rem 0; }
input { display: block; width: 100%; box-sizing: border-box; font: inherit; padding: .4rem; }
button { font: inherit; padding: .4rem 1.2rem; }
output { display: block; margin-top: 1rem; color: #b3261e; }
"""
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>LabThings: sign in</title>
<style>{style}</style>
<h1>Sign in</h1>
<p>This server controls instruments and requires a token or password. To make a token, run
<code>labthings-server token create</code> on the server's computer.</p>
<form data-session="{session}">
<label>Token or password <input name="secret" type="password" required autofocus></label>
<label>Name (only with a password) <input name="name" autocomplete="username"></label>
<button>Sign in</button>
<output></output>
</form>
<script>{script}</script>
"""


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_POLICY = (
    f"default-src 'none'; script-src 'sha256-{_hash(_SCRIPT)}'; "
    f"style-src 'sha256-{_hash(_STYLE)}'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def wants_page(method: str, headers: Mapping[bytes, bytes]) -> bool:
    if method != "GET" or b"text/html" not in headers.get(b"accept", b""):
        return False
    return headers.get(b"sec-fetch-mode", b"navigate") == b"navigate"


def login_page(session_path: str) -> tuple[bytes, str, dict[str, str]]:
    session = html.escape(json.dumps(session_path)[1:-1], quote=True)
    text = _PAGE.format(style=_STYLE, script=_SCRIPT, session=session)
    return text.encode(), "text/html; charset=utf-8", {"Content-Security-Policy": _POLICY}
