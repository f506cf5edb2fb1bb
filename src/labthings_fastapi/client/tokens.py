"""Where the token of a server is found: in the environment, or in a file of the user."""

from __future__ import annotations

import json
import os
from pathlib import Path

from labthings_fastapi.exceptions import ClientError
from labthings_fastapi.private_files import make_private_folder, open_private_file

FILE = "tokens.json"
VARIABLE = "LABTHINGS_TOKEN"


def token_file() -> Path:
    """Return the file with the tokens of this user, which need not exist."""
    import typer

    return Path(typer.get_app_dir("labthings")) / FILE


def find_token(origin: str) -> str | None:
    """Return the token for a server: `LABTHINGS_TOKEN`, or the one that the user has stored."""
    token = os.environ.get(VARIABLE)
    return token or _stored().get(origin)


def store_token(origin: str, token: str | None) -> Path:
    """Keep the token for a server in the user's file, or forget it; return the file."""
    path = token_file()
    tokens = _stored()
    if token is None:
        tokens.pop(origin, None)
    else:
        tokens[origin] = token
    make_private_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = open_private_file(temporary, os.O_WRONLY | os.O_TRUNC)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(tokens, file, indent=2)
    temporary.replace(path)
    return path


def _stored() -> dict[str, str]:
    path = token_file()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return {}
    try:
        tokens = json.loads(text)
    except ValueError:
        tokens = None
    if not isinstance(tokens, dict):
        raise ClientError(f"{path} cannot be read: it is no JSON object. Repair or delete it.")
    return {str(origin): str(token) for origin, token in tokens.items()}
