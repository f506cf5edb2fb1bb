"""`labthings-server`: run a server from a configuration."""

from __future__ import annotations

import argparse
import importlib.resources
import json
import logging
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import LabThingsError, ServerConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_OK = 0
EXIT_USAGE = 1
EXIT_CONFIGURATION = 3


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="labthings-server", description="Serve laboratory hardware on the network."
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="a configuration, JSON or TOML")
    parser.add_argument("-j", "--json", metavar="TEXT", help="a configuration as JSON text")
    parser.add_argument("--demo", action="store_true", help="serve the simulated demo bench")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=5000, help="port to listen on (%(default)s)")
    parser.add_argument("--debug", action="store_true", help="show more, tracebacks included")
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port: they go from 0 to 65535")
    return number


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; bad options end the process with code 2."""
    return make_parser().parse_args(argv)


class UsageError(Exception):
    """The options do not go together, or a file is missing."""


def load_config(args: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration that the options name.

    Raises:
        UsageError: not exactly one source was given, or a file is missing.
        ServerConfigurationError: the text is no JSON or TOML.
    """
    sources = [args.config is not None, args.json is not None, args.demo]
    if sum(sources) != 1:
        raise UsageError("give one of -c FILE, -j TEXT or --demo")
    if args.json is not None:
        return _parsed(args.json, "the text after -j", toml=False)
    if args.demo:
        bench = importlib.resources.files("labthings_fastapi").joinpath("demo", "bench.json")
        return _parsed(bench.read_text("utf-8"), "the demo bench", toml=False)
    path = Path(args.config)
    if not path.is_file():
        raise UsageError(f"there is no configuration file {str(path)!r}")
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"the configuration {str(path)!r} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise ServerConfigurationError(f"{path} is not text in UTF-8: {error}") from error
    return _parsed(text, str(path), toml=path.suffix == ".toml")


def _parsed(text: str, source: str, *, toml: bool) -> dict[str, Any]:
    try:
        found = tomllib.loads(text) if toml else json.loads(text)
    except (ValueError, RecursionError) as error:
        form = "TOML" if toml else "JSON"
        raise ServerConfigurationError(f"{source} is not valid {form}: {error}") from error
    if not isinstance(found, dict):
        raise ServerConfigurationError(f"{source} must hold an object with `things`.")
    return found


def serve_from_cli(argv: Sequence[str] | None = None) -> int:
    """Serve what the command line says; returns the exit code."""
    args = parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if args.debug else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    try:
        return _serve(args)
    except UsageError as error:
        return _fail(error, EXIT_USAGE, args)
    except LabThingsError as error:
        return _fail(error, EXIT_CONFIGURATION, args)


def _serve(args: argparse.Namespace) -> int:
    from .server import ThingServer

    server = ThingServer(load_config(args))
    names = ", ".join(server.things) or "no Things"
    print(f"Serving {names} on http://{args.host}:{args.port}/", flush=True)
    server.serve(args.host, args.port)
    return EXIT_OK


def _fail(error: Exception, code: int, args: argparse.Namespace) -> int:
    if args.debug:
        logging.getLogger("labthings_fastapi.server").error("Stopped.", exc_info=error)
    print(f"labthings-server: {error}", file=sys.stderr)
    return code


def main() -> None:
    """Run the command and end the process with its exit code."""
    sys.exit(serve_from_cli())
