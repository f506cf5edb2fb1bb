"""The command generate-client."""

from __future__ import annotations

from typing import Annotated

import typer

from labthings_fastapi.client.written_client import written_client

from .bench import DEFAULT_SERVER, Json, Server, Verify, bench
from .printing import print_json, print_text


def generate_client(
    url: Annotated[
        str, typer.Argument(metavar="[URL]", help="The server; by default that of --server.")
    ] = "",
    asynchronous: Annotated[bool, typer.Option("--async", help="For code with `await`.")] = False,
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Print a Python module with a class for each Thing, annotated for type checkers."""
    with bench(url or server, verify) as opened:
        found = {name: opened.thing(name).description for name in sorted(opened.descriptions)}
    code = written_client(found, asynchronous=asynchronous)
    if json:
        print_json({"module": code})
    else:
        print_text(code.rstrip("\n"))
