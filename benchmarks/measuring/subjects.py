"""What is compared: ours, our build before, the peer, hololinked, and the floor under all."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from served.wide import write_wide

from .environments import ROOT, python_for
from .load import Request
from .processes import Server, free_port, running_server, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERVED = Path(__file__).parents[1] / "served"
SUBJECTS = ("ours", "before", "peer", "hololinked", "floor")
INSTRUMENT = {"instrument": "instrument:Instrument"}
READ = Request("GET", "/instrument/speed")
COMPUTE = Request("GET", "/instrument/position")
MEASURE = Request("GET", "/instrument/temperature")
WRITE = Request("PUT", "/instrument/speed", b"2.5")
INVOKE = Request("POST", "/instrument/noop", b"{}", status=201)
DESCRIBE = Request("GET", "/instrument/")


def _our_paths(*folders: Path) -> dict[str, str]:
    paths = [str(SERVED), *map(str, folders)]
    return {"PYTHONPATH": ":".join([str(ROOT / "src"), *paths])}


def _peer_paths(*folders: Path) -> dict[str, str]:
    return {"PYTHONPATH": ":".join([str(SERVED), *map(str, folders)])}


@contextmanager
def serve(subject: str, things: Mapping[str, str] = INSTRUMENT, **config: Any) -> Iterator[Server]:
    """Serve Things with a subject, the floor excepted; `config` goes to ours alone."""
    port = free_port()
    python = python_for(subject)
    with temporary_folder() as folder:
        code = folder / "code"
        code.mkdir()
        given = {name: _written(source, code) for name, source in things.items()}
        settings = {"things": given, "settings_folder": str(folder / "settings")}
        last, kind = list(things.items())[-1]
        ready = f"/{last}/value_0" if kind.startswith("wide") else READ.path
        variables = _our_paths(code)
        if subject == "ours":
            command = [python, "-c", _OUR_COMMAND, *_options(folder, {**settings, **config}, port)]
        elif subject == "before":
            command = [python, "-c", _OUR_COMMAND, *_options(folder, {**settings, **config}, port)]
            variables = _peer_paths(code)
        elif subject == "peer":
            command = _peer_command(python, folder, settings, port)
            variables = _peer_paths(code)
        elif subject == "hololinked":
            command = [python, str(SERVED / "hololinked_server.py"), str(port)]
            variables, ready = {}, READ.path
        else:
            raise ValueError(f"{subject!r} serves no Things.")
        with running_server(command, port, ready, variables) as server:
            yield server


# What the installed `labthings-server` does.
_OUR_COMMAND = "from labthings_fastapi.server.cli import main; main()"
_peer_is_quiet = False


def quieten_peer() -> None:
    """Serve with the peer without its access log from now on."""
    global _peer_is_quiet  # noqa: PLW0603 - one choice for the whole process, made at its start
    _peer_is_quiet = True


def _options(folder: Path, config: dict[str, Any], port: int) -> list[str]:
    """Return the options that ours and the peer's `labthings-server` have in common."""
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    return ["-c", str(file), "--port", str(port)]


def _peer_command(python: str, folder: Path, config: dict[str, Any], port: int) -> list[str]:
    if _peer_is_quiet:
        return [python, str(SERVED / "peer_server.py"), json.dumps(config), str(port)]
    return [str(Path(python).with_name("labthings-server")), *_options(folder, config, port)]


def _written(source: str, folder: Path) -> str:
    """Return an import string; for `wide:20`, write a Thing with 20 affordances first."""
    kind, _, number = source.partition(":")
    return write_wide(folder, int(number)) if kind == "wide" else source


@contextmanager
def floor(*requests: Request) -> Iterator[Server]:
    """Serve the bytes that ours answers to these requests, from memory, by bare routes."""
    table: dict[str, Any] = {}
    with serve("ours") as ours, ours.connection() as connection:
        for request in requests:
            headers = {"Accept": "*/*"}
            connection.send(request.method, request.path, request.body, headers)
            status, body, head = connection.receive_all()
            media_type = head.get("content-type", "application/json")
            table[request.path] = [
                *(request.method, status, media_type, body.decode(), head.get("etag")),
            ]
    port = free_port()
    command = [sys.executable, str(SERVED / "floor_server.py"), json.dumps(table), str(port)]
    path = requests[0].path if requests[0].method == "GET" else "/nothing"
    with running_server(command, port, path) as server:
        yield server


@contextmanager
def answering(subject: str, *requests: Request, **config: Any) -> Iterator[Server]:
    """Serve the resources of these requests with a subject."""
    chosen = floor(*requests) if subject == "floor" else serve(subject, **config)
    with chosen as server:
        yield server


@contextmanager
def empty_app() -> Iterator[Server]:
    """Serve a FastAPI app with nothing in it."""
    port = free_port()
    with running_server(
        [sys.executable, str(SERVED / "empty_app.py"), str(port)], port, "/ready"
    ) as app:
        yield app
