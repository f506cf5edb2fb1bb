"""The commands `labthings-server token …` and `labthings-server user …`: access to a server."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from labthings_fastapi.exceptions import CredentialError, LabThingsError
from labthings_fastapi.security.credential_file import FILE_NAME, CredentialFile
from labthings_fastapi.security.credentials import NAME, new_password, new_token
from labthings_fastapi.security.roles import ROLES
from labthings_fastapi.server.config.files import (
    DEFAULT_SETTINGS_FOLDER,
    UsageError,
    credentials_file,
)

_EPILOG = """\
Roles: a viewer reads and observes; an operator also writes properties and invokes actions; an admin
can do everything. A server that runs without authentication must be restarted after the first token
was created. Later changes need no restart. A token is shown once, and stored as a hash.
"""


def credentials_from_cli(argv: Sequence[str]) -> int:
    args = _make_parser().parse_args(argv)
    try:
        run: Callable[[argparse.Namespace, CredentialFile], None] = args.run
        run(args, CredentialFile(_file(args)))
    except (UsageError, LabThingsError) as error:
        print(f"labthings-server: {error}", file=sys.stderr)
        return 1 if isinstance(error, UsageError) else 3
    return 0


def _make_parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "labthings-server",
        description="Manage access to a server.",
        epilog=_EPILOG,
        formatter_class=raw,
    )
    kinds = parser.add_subparsers(required=True, metavar="token | user")

    def group(name: str, commands: str, about: str) -> Callable[..., argparse.ArgumentParser]:
        parsers = kinds.add_parser(name, help=about)
        return parsers.add_subparsers(required=True, metavar=commands).add_parser

    token = group("token", "create | list | revoke", "tokens for programs and people")
    create = token("create", help="create a token and print it")
    create.add_argument("--name", help="name in the journal; by default role and number")
    create.add_argument("--expires-days", type=float, metavar="N", help="days until it expires")
    listing = token("list", help="list tokens and users")
    revoke = token("revoke", help="revoke a token or a user")
    revoke.add_argument("name")
    user = group("user", "create", "users with a password, for HTTP Basic")
    create_user = user("create", help="create a user with a name and a password")
    create_user.add_argument("name")
    runs = {create: _create_token, listing: _list, revoke: _revoke, create_user: _create_user}
    for command, run in runs.items():
        command.set_defaults(run=run)
        add = command.add_argument
        folder = "settings folder of the server (./settings)"
        if command in (create, create_user):
            about = "a different role for one Thing; may be repeated"
            add("--role", choices=ROLES, required=True)
            add("--thing", action="append", default=[], metavar="NAME=ROLE", help=about)
        add("-c", "--config", metavar="FILE", help="configuration of the server")
        add("-j", "--json", metavar="TEXT", help="configuration as JSON text")
        add("--demo", action="store_true", help="for the demo bench")
        add("--settings-folder", metavar="FOLDER", help=folder)
    return parser


def _file(args: argparse.Namespace) -> Path:
    if args.config is None and args.json is None and not args.demo:
        folder = args.settings_folder or DEFAULT_SETTINGS_FOLDER
        return Path(folder).absolute() / FILE_NAME
    if args.settings_folder is not None:
        raise UsageError("--settings-folder cannot be combined with a configuration")
    return credentials_file(args)


def _things(args: argparse.Namespace) -> dict[str, Any]:
    roles = {}
    for text in args.thing:
        name, _, role = text.partition("=")
        if not name or role not in ROLES:
            raise UsageError(
                f"--thing {text}: give the name of a Thing and one of {', '.join(ROLES)}, such "
                "as stage=admin"
            )
        roles[name] = role
    return roles


def _create_token(args: argparse.Namespace, file: CredentialFile) -> None:
    file.refresh()
    expires = None
    if args.expires_days is not None:
        if not 0 < args.expires_days <= 36500:
            raise UsageError("--expires-days must be greater than 0 and at most 36500")
        expires = datetime.now(UTC) + timedelta(days=args.expires_days)
    name = _checked(args.name or file.unused_name(args.role))
    credential, text = new_token(name, args.role, _things(args), expires)
    file.add(credential)
    until = f", until {expires:%Y-%m-%d}" if expires else ""
    print(
        f"Token {name!r} ({args.role}{until}), stored as a hash in {file.path}. It is shown only "
        "once. Clients send it as `Authorization: Bearer <token>`:",
        file=sys.stderr,
    )
    print(text)


def _create_user(args: argparse.Namespace, file: CredentialFile) -> None:
    file.refresh()
    name = _checked(args.name)
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {name}: ")
        if getpass.getpass("Repeat the password: ") != password:
            raise UsageError("the two passwords differ; nothing was changed")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    file.add(new_password(name, password, args.role, _things(args)))
    print(f"User {name!r} ({args.role}) was stored in {file.path}.", file=sys.stderr)


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise CredentialError(
            f"{name!r} is not a valid name for a token or user. Use up to 64 letters, digits and "
            "any of '_.@-', such as 'alice' or 'notebook-3'."
        )
    return name


def _list(_args: argparse.Namespace, file: CredentialFile) -> None:
    file.refresh()
    if not file.credentials:
        print(f"There are no credentials in {file.path}.", file=sys.stderr)
    now = datetime.now(UTC)
    for each in file.credentials:
        things = "".join(f", {thing}: {role}" for thing, role in each.things.items())
        expiry = f", until {each.expires:%Y-%m-%d}" if each.expires else ""
        expired = " (expired)" if not each.is_valid_at(now) else ""
        print(f"{each.name}: {each.kind}, {each.role}{things}{expiry}{expired}")


def _revoke(args: argparse.Namespace, file: CredentialFile) -> None:
    file.remove(args.name)
    print(f"{args.name!r} was revoked.", file=sys.stderr)
