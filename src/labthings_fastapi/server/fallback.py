"""A page that shows why the server did not start, for computers without a screen."""

from __future__ import annotations

import html
import logging
import socket
import traceback
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.responses import HTMLResponse

from labthings_fastapi.actions.logs import message_of
from labthings_fastapi.exceptions import LabThingsError, describe_exception
from labthings_fastapi.problems import well_formed
from labthings_fastapi.routes import problem_response
from labthings_fastapi.security.hosts import HostRule, own_names
from labthings_fastapi.server.access.client_address import client_of
from labthings_fastapi.server.access.refusals import unknown_host


class LogTail(logging.Handler):
    """Keeps the newest log records of the start, for the page."""

    def __init__(self, length: int = 200) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=length)

    def emit(self, record: logging.LogRecord) -> None:
        """Store one record as text."""
        self.lines.append(f"{record.levelname:7} {record.name}: {message_of(record)}")


def explain(error: Exception, log: LogTail, *, debug: bool = False) -> dict[str, str]:
    """Return the context of the page for a failed start; the traceback only with `debug`."""
    lines = traceback.format_exception(error) if debug else []
    text = str(error) if isinstance(error, LabThingsError) else describe_exception(error)
    return {"error": text, "log": "\n".join(log.lines), "traceback": "".join(lines)}


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class FallbackApp(FastAPI):
    """Answers every request with the page and status 503.

    There is no authentication, so only clients on this computer are shown the log.
    """

    def __init__(self) -> None:
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None)
        # `allowed_hosts` is not available: the configuration may be what is wrong.
        self._hosts = HostRule(own_names(socket.gethostname()))
        self._template = Template(Path(__file__).with_name("fallback.html").read_text("utf-8"))
        self._context = {"error": "Unknown error.", "log": "", "traceback": ""}
        self.add_api_route("/{path:path}", self._page, methods=_METHODS, response_model=None)

    def set_template_str(self, template: str) -> None:
        """Use another page, with the placeholders `$error`, `$log` and `$traceback`."""
        self._template = Template(template)

    def set_context(self, context: Mapping[str, Any] | None = None, /, **members: Any) -> None:
        """Set the values of placeholders, also of your own; they are shown as plain text."""
        values = {**(context or {}), **members}
        self._context = {**self._context, **{name: str(value) for name, value in values.items()}}

    async def _page(self, request: Request) -> Response:
        peer = client_of(request.scope)
        host = request.headers.get("host", "").encode("latin-1")
        if peer.address is not None and not self._hosts.allows(host):
            return problem_response(unknown_host(host))
        shown = {name: html.escape(well_formed(value)) for name, value in self._context.items()}
        if not peer.is_local:
            shown |= {"log": "The log is shown only on the server's own computer.", "traceback": ""}
        policy = {"Content-Security-Policy": "frame-ancestors 'none'"}
        headers = {"Retry-After": "5", "Cache-Control": "no-store", **policy}
        return HTMLResponse(self._template.safe_substitute(shown), 503, headers)


app = FallbackApp()
"""The app that `labthings-server --fallback` serves when the start fails."""
