"""Read the configuration that the options of the command line name."""

from __future__ import annotations

import argparse
import importlib.resources
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from labthings_fastapi.exceptions import ServerConfigurationError


class UsageError(Exception):
    """The options contradict one another, or a file is missing."""


def load_config(args: argparse.Namespace) -> dict[str, Any]:
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
    from labthings_fastapi.server.config_model import ThingServerConfig

    has_source = args.config is not None or args.json is not None or args.demo
    config = load_config(args) if has_source else {}
    folder = config.get("settings_folder")
    default = ThingServerConfig.model_fields["settings_folder"].default
    return Path(folder) if isinstance(folder, str) else Path(default)


def _parsed(text: str, source: str, *, toml: bool) -> dict[str, Any]:
    try:
        if toml:
            document = tomllib.loads(text)
        else:
            document = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        syntax = "TOML" if toml else "JSON"
        raise ServerConfigurationError(f"{source} is not valid {syntax}: {error}") from error
    if not isinstance(document, dict):
        raise ServerConfigurationError(f"{source} must hold an object with `things`.")
    return document


def _without_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    # The standard library would keep the last one, and a Thing would be missing without an error.
    unique = dict(members)
    if len(unique) < len(members):
        names = [name for name, _ in members]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {duplicate!r} occurs twice in the same object")
    return unique


def make_modules_importable(args: argparse.Namespace) -> None:
    folders = [Path.cwd()]
    if args.config is not None:
        folders.append(Path(args.config).resolve().parent)
    for folder in reversed(folders):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
