"""A page that says why the real server did not start, for machines without a screen."""

from __future__ import annotations

import html
import logging
from collections import deque
from string import Template
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse

from labthings_fastapi.actions.logs import message_of

DEFAULT_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>LabThings: not started</title>
<style>
  body { font-family: sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em; }
  pre { background: #f3f3f3; padding: 1em; overflow: auto; white-space: pre-wrap; }
</style></head>
<body>
<h1>The server could not start</h1>
<p>Mend what is said here, then start it again. No Thing is open, and nothing moves.</p>
<h2>Error</h2>
<pre>$error</pre>
<h2>Things</h2>
<pre>$things</pre>
<h2>Log</h2>
<pre>$log</pre>
</body></html>
"""


class LogTail(logging.Handler):
    """Keeps the newest records of the start, for the page."""

    def __init__(self, length: int = 200) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=length)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record as text."""
        self.lines.append(f"{record.levelname:7} {record.name}: {message_of(record)}")


class FallbackApp(FastAPI):
    """Answers every GET with the page, and status 503."""

    def __init__(self) -> None:
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None)
        self._template = Template(DEFAULT_TEMPLATE)
        self._context: dict[str, str] = {"error": "Unknown.", "things": "", "log": ""}
        self.add_api_route("/", self._page, methods=["GET"], response_class=HTMLResponse)
        self.add_api_route("/{path:path}", self._page, methods=["GET"], response_class=HTMLResponse)

    def set_template_str(self, template: str) -> None:
        """Use another page, with the placeholders `$error`, `$things` and `$log`."""
        self._template = Template(template)

    def set_context(self, **context: Any) -> None:
        """Set what the placeholders stand for; values are shown as text."""
        self._context.update({name: str(value) for name, value in context.items()})

    async def _page(self) -> HTMLResponse:
        shown = {name: html.escape(value) for name, value in self._context.items()}
        return HTMLResponse(
            self._template.safe_substitute(shown),
            status_code=503,
            headers={"Retry-After": "5", "Content-Security-Policy": "frame-ancestors 'none'"},
        )


app = FallbackApp()
"""The app that `labthings-server --fallback` serves when the start fails."""
