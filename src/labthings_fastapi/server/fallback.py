"""A page that shows why the server did not start, for computers without a screen."""

from __future__ import annotations

import html
import importlib
import json
import logging
import socket
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from labthings_fastapi.actions.logs import message_of
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.problems import well_formed
from labthings_fastapi.routes import problem_response
from labthings_fastapi.security.hosts import HostRule, own_names
from labthings_fastapi.server.access.client_address import client_of
from labthings_fastapi.server.access.refusals import unknown_host
from labthings_fastapi.server.config.build_things import explained

LOGGER = own_logger("server")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_HIDDEN = "This is shown only on the server's own computer."
_NO_LOG = "No logging information available."
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>
  body {{ font-family: sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em; }}
  pre {{ background: #f3f3f3; color: #111; padding: 1em; overflow: auto; white-space: pre-wrap; }}
</style></head>
<body>
{body}
</body></html>
"""


class LogTail(logging.Handler):
    """Keeps the newest log records of the start, for the page."""

    def __init__(self, length: int = 200) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=length)

    def emit(self, record: logging.LogRecord) -> None:
        """Store one record as text."""
        self.lines.append(f"{record.levelname:7} {record.name}: {message_of(record)}")


@dataclass
class FallbackContext:
    """What the page is about; each part may be missing."""

    error: BaseException | str | None = None
    server: Any = None
    """The `ThingServer`, as far as it was made."""
    config: Any = None
    """The configuration: a `ThingServerConfig` or a mapping."""
    log_history: str | None = None

    def words(self) -> dict[str, Any]:
        """Return what a template is given; parts that are missing are None."""
        error = self._raised()
        return {
            "error_message": error if isinstance(error, str | None) else explained(error),
            "things": self._things(),
            "config": self._config_text(),
            "traceback": None
            if isinstance(error, str | None)
            else "".join(traceback.format_exception(error)),
            "logginginfo": self.log_history or None,
        }

    def _raised(self) -> BaseException | str | None:
        failure = getattr(self.server, "startup_failure", None)
        if isinstance(self.error, SystemExit) and failure is not None:
            raised: BaseException = failure["exception"]
            return raised
        return self.error

    def _things(self) -> list[str] | None:
        things = getattr(self.server, "things", None)
        if things is None:
            things = _member(self.config, "things")
        return [str(name) for name in things] if isinstance(things, Mapping) else None

    def _config_text(self) -> str | None:
        config = self.config if self.config is not None else getattr(self.server, "config", None)
        if config is not None and hasattr(config, "model_dump_json"):
            text: str = config.model_dump_json(indent=4)
            return text
        return None if config is None else json.dumps(config, indent=4, default=str)


def _member(config: Any, name: str) -> Any:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)


class FallbackApp(FastAPI):
    """Answers `/` with the page and status 500, and leads every other path there.

    There is no authentication, so only clients on this computer are shown more than the error.
    """

    def __init__(self) -> None:
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None)
        # `allowed_hosts` is not available: the configuration may be what is wrong.
        self._hosts = HostRule(own_names(socket.gethostname()))
        self._template: str | None = None
        self._context: FallbackContext | None = None
        self._words: dict[str, Any] = {}
        options: dict[str, Any] = {"methods": _METHODS, "response_model": None}
        self.add_api_route("/labthings_fallback", self._is_fallback, methods=["GET"])
        self.add_api_route("/", self._page, **options)
        self.add_api_route("/{path:path}", self._to_the_page, **options)

    def set_template_str(self, template: str) -> None:
        """Use another page: a Jinja2 template, whose values are shown as text and not as markup.

        It is given `error_message`, `things` (a list of names), `config` (JSON), `traceback` and
        `logginginfo`, each of which may be None, and what `set_context` adds.

        Raises:
            ImportError: Jinja2 is not installed.
        """
        _jinja2()
        self._template = template

    def set_context(
        self, context: FallbackContext | Mapping[str, Any] | None = None, /, **words: Any
    ) -> None:
        """Say what the page is about; `words`, or a mapping of them, are for a template of yours.

        `error`, `server`, `config` and `log_history` among them are those of a `FallbackContext`.
        """
        if isinstance(context, FallbackContext):
            self._context = context
        else:
            words = {**(context or {}), **words}
        known = {each.name for each in fields(FallbackContext)} & words.keys()
        if known:
            self._context = FallbackContext(**{name: words.pop(name) for name in known})
        self._words.update(words)

    async def _is_fallback(self) -> Response:
        return JSONResponse(True)

    async def _to_the_page(self, request: Request) -> Response:
        return self._refusal(request) or RedirectResponse("/")

    async def _page(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        policy = {"Content-Security-Policy": "frame-ancestors 'none'"}
        headers = {"Cache-Control": "no-store", **policy}
        text = self._text(is_local=client_of(request.scope).is_local)
        return HTMLResponse(well_formed(text), 500, headers)

    def _refusal(self, request: Request) -> Response | None:
        peer = client_of(request.scope)
        host = request.headers.get("host", "").encode("latin-1")
        if peer.address is not None and not self._hosts.allows(host):
            return problem_response(unknown_host(host))
        return None

    def _text(self, *, is_local: bool) -> str:
        if self._context is None:
            return _last_resort("Nothing is known of the error.")
        try:
            words = self._context.words()
            if not is_local:
                hidden = ("config", "traceback", "logginginfo")
                words |= {name: _HIDDEN for name in hidden if words[name] is not None}
            if self._template is None:
                return _default_page(words)
            environment = _jinja2().Environment(autoescape=True)
            text: str = environment.from_string(self._template).render({**words, **self._words})
        except Exception as error:  # a page must be shown, whatever fails
            LOGGER.exception("The page about the error could not be made.")
            return _last_resort(f"{error}" if is_local else _HIDDEN)
        return text


def _jinja2() -> Any:
    try:
        return importlib.import_module("jinja2")
    except ImportError as error:
        raise ImportError(
            "A page of your own needs Jinja2: install the extra `lab` of labthings-fastapi."
        ) from error


def _default_page(words: Mapping[str, Any]) -> str:
    parts = [
        "<h1>The LabThings server failed during startup.</h1>",
        "<p>Correct the error below, then start the server again. No Thing is open.</p>",
        "<h2>Error</h2>",
        _block(words["error_message"] or "Nothing is known of the error."),
    ]
    if words["things"] is not None:
        items = "".join(f"<li>{html.escape(name)}</li>" for name in words["things"])
        parts += ["<h2>Things</h2>", f"<ul>{items}</ul>"]
    for title, name in (("Configuration", "config"), ("Traceback", "traceback")):
        if words[name] is not None:
            parts += [f"<h2>{title}</h2>", _block(words[name])]
    if words["logginginfo"] is None:
        parts.append(f"<p>{_NO_LOG}</p>")
    else:
        parts += ["<h2>Logging</h2>", _block(words["logginginfo"])]
    return _PAGE.format(title="LabThings: not started", body="\n".join(parts))


def _last_resort(reason: str) -> str:
    body = f"<h1>LabThings Internal Error</h1>\n{_block(reason)}"
    return _PAGE.format(title="LabThings Internal Error", body=body)


def _block(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


app = FallbackApp()
"""The app that `labthings-server --fallback` serves when the start fails."""
