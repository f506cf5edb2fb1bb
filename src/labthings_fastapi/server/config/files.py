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
from labthings_fastapi.own_log import own_logger

LOGGER = own_logger("server")
DEFAULT_SETTINGS_FOLDER = "settings"
PATHS_IN_SECTIONS = {"journal": "path", "security": "credentials"}
"""Keys whose values are paths, beside `settings_folder`."""


class UsageError(RuntimeError):
    """The options contradict one another."""


class MissingFileError(UsageError, FileNotFoundError):
    """There is no file of this name, or it cannot be read."""


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
    return _from_folder(_file_content(path), path.resolve().parent)


def _file_content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingFileError(f"there is no configuration file {str(path)!r}")
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise MissingFileError(
            f"the configuration {str(path)!r} cannot be read: {error}"
        ) from error
    except UnicodeDecodeError as error:
        raise ServerConfigurationError(f"{path} is not text in UTF-8: {error}") from error
    return _parsed(text, str(path), toml=path.suffix.lower() == ".toml")


def _from_folder(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a configuration whose relative paths start at `folder`."""
    settings = config.get("settings_folder")
    if settings is None:  # also where the file says so
        settings = DEFAULT_SETTINGS_FOLDER
    config = {**config, "settings_folder": _joined(folder, settings)}
    _warn_of_other_folder(settings, folder)
    for section, key in PATHS_IN_SECTIONS.items():
        options = config.get(section)
        if isinstance(options, dict) and key in options:
            config[section] = {**options, key: _joined(folder, options[key])}
    return config


def _warn_of_other_folder(settings: Any, folder: Path) -> None:
    """Log that there are settings in the working directory, where older versions kept them."""
    if isinstance(settings, str) and not (folder / settings).exists():
        other = Path(settings).absolute()
        if other.is_dir():
            LOGGER.warning(
                "The settings folder is %s, which does not exist yet: it is relative to the "
                "configuration file. The folder %s, in the working directory, is not used. Move "
                "it if it has the settings of this server.",
                *(folder / settings, other),
            )


def _joined(folder: Path, path: Any) -> Any:
    # What is no path is reported with the other errors of the configuration.
    return str(folder / path) if isinstance(path, str) else path


def settings_folder(args: argparse.Namespace) -> Path:
    """Return the settings folder of the configuration that the options name, if they name one."""
    return _settings_folder(_config_if_named(args))


def credentials_file(args: argparse.Namespace) -> Path:
    """Return the file of credentials of the configuration that the options name, as above."""
    from labthings_fastapi.security.credential_file import FILE_NAME

    config = _config_if_named(args)
    security = config.get("security")
    if isinstance(security, dict) and isinstance(security.get("credentials"), str):
        return Path(security["credentials"]).absolute()
    return _settings_folder(config) / FILE_NAME


def _config_if_named(args: argparse.Namespace) -> dict[str, Any]:
    has_source = args.config is not None or args.json is not None or args.demo
    return load_config(args) if has_source else {}


def _settings_folder(config: dict[str, Any]) -> Path:
    folder = config.get("settings_folder")
    return Path(folder if isinstance(folder, str) else DEFAULT_SETTINGS_FOLDER).absolute()


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
