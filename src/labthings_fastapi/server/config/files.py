"""Where the command line says that the configuration is."""

from __future__ import annotations

import importlib.resources
import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import ServerConfigurationError

if TYPE_CHECKING:
    import argparse


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
    return _parsed(text, str(path), toml=path.suffix.lower() == ".toml")


def settings_folder(args: argparse.Namespace) -> Path:
    """Return the settings folder of the configuration that the options name, or the usual one.

    Nothing else of the configuration is looked at: it may be wrong.

    Raises:
        UsageError: the configuration is missing.
        ServerConfigurationError: it is no JSON or TOML.
    """
    from labthings_fastapi.server.config_model import ThingServerConfig

    named = args.config is not None or args.json is not None or args.demo
    given = load_config(args) if named else {}
    folder = given.get("settings_folder")
    usual = ThingServerConfig.model_fields["settings_folder"].default
    return Path(folder) if isinstance(folder, str) else Path(usual)


def _parsed(text: str, source: str, *, toml: bool) -> dict[str, Any]:
    try:
        found = tomllib.loads(text) if toml else json.loads(text, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        form = "TOML" if toml else "JSON"
        raise ServerConfigurationError(f"{source} is not valid {form}: {error}") from error
    if not isinstance(found, dict):
        raise ServerConfigurationError(f"{source} must hold an object with `things`.")
    return found


def _no_doubles(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what the standard library would resolve by losing a Thing."""
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double!r} stands twice in the same object")
    return found


def make_modules_importable(args: argparse.Namespace) -> None:
    """Let a configuration name modules beside itself and in the current folder.

    The current folder comes first, as with `python -m`.
    """
    folders = [Path.cwd()]
    if args.config is not None:
        folders.append(Path(args.config).resolve().parent)
    for folder in reversed(folders):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
