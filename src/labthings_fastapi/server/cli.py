"""The command `labthings-server`: run a server, check its configuration, make a certificate."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import LabThingsError, UnprotectedError, describe_exception
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.server.config.files import UsageError, load_config, make_modules_importable

if TYPE_CHECKING:
    from labthings_fastapi.server.web.tls import Tls

    from .config_model import ThingServerConfig
    from .fallback import LogTail

COMMANDS = ("serve", "check", "cert")
CREDENTIAL_COMMANDS = ("token", "user")
"""Commands with their own options: `labthings-server token --help`."""
EXIT_OK = 0
EXIT_USAGE = 1
EXIT_NOT_STARTED = 3
EXIT_SECONDS = 2.0  # that drivers may take after a start that failed

_EPILOG = """\
Access: see `labthings-server token --help` and `labthings-server user --help`.

Your own modules are imported from the folder of the configuration and from the current folder.

exit codes: 0 stopped by a signal, or no errors found; 1 a file is missing, or options cannot be
combined; 2 unknown options; 3 the configuration or the certificate is wrong, a Thing cannot start,
or the port is taken. With --fallback an error page is served until SIGTERM or Ctrl-C; the exit code
is the same as without it.
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    about = "Serve laboratory hardware on the network."
    parser = argparse.ArgumentParser(
        "labthings-server", description=about, epilog=_EPILOG, formatter_class=raw
    )
    add = parser.add_argument
    flag = partial(add, action="store_true")
    add(
        "command",
        nargs="?",
        metavar="serve | check | cert",
        default="serve",
        help="serve (the default); check: list all errors of the configuration, start nothing; "
        "cert: make a certificate for --tls, or show the existing one",
    )
    add("-c", "--config", metavar="FILE", help="configuration file, JSON or TOML (*.toml)")
    add("-j", "--json", metavar="TEXT", help="configuration as JSON text")
    flag("--demo", help="serve the simulated demo bench")
    add(
        "--host",
        action="append",
        dest="hosts",
        metavar="HOST",
        help="address to listen on (127.0.0.1); with cert: a name or address of this computer "
        "for the certificate; may be repeated",
    )
    add("--port", type=_port, default=5000, help="port to listen on (%(default)s)")
    flag("--tls", help="serve HTTPS with a self-signed certificate")
    add("--tls-cert", metavar="FILE", help="serve HTTPS with this certificate (PEM)")
    add("--tls-key", metavar="FILE", help="private key of --tls-cert (PEM, no password)")
    flag("--debug", help="show tracebacks, also in responses to clients")
    flag("--fallback", help="if the start fails, serve a page with the error and the log (503)")
    flag("--insecure", help="let everyone on the network control the instruments without a token")
    flag("--tolerant", help="run without the Things that cannot start")
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is not a port number (0 to 65535)")
    return number


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; invalid options end the process with code 2."""
    parser = make_parser()
    args, unknown = parser.parse_known_args(argv)
    # Before the command is checked: in `--unknown value`, argparse takes the value for it.
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if args.command not in COMMANDS:
        known = ", ".join((*COMMANDS, *CREDENTIAL_COMMANDS))
        parser.error(f"unknown command {args.command!r}; the commands are {known}")
    args.hosts = args.hosts or []
    if len(args.hosts) > 1 and args.command != "cert":
        parser.error(f"--host can be given only once, not as {' and '.join(args.hosts)}")
    args.host = args.hosts[0] if args.hosts else "127.0.0.1"
    return args


def serve_from_cli(argv: Sequence[str] | None = None) -> int:
    """Run the command of a command line, by default `serve`; return the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments and arguments[0] in CREDENTIAL_COMMANDS:
        from .credentials_cli import credentials_from_cli

        return credentials_from_cli(arguments)
    args = parse_args(arguments)
    from labthings_fastapi.own_log import log_to_stderr

    log_to_stderr(logging.DEBUG if args.debug else logging.INFO)
    tail = _log_tail() if args.command == "serve" and args.fallback else None
    run = {"check": _check, "cert": _certificate, "serve": _serve}[args.command]
    try:
        run(args)
    except Exception as error:  # noqa: BLE001 - printed for the user
        code = _fail(error, args)
        if tail is not None:
            _run_fallback(args, error, tail)
        return code
    finally:
        if tail is not None:
            logging.getLogger().removeHandler(tail)
    return EXIT_OK


def _check(args: argparse.Namespace) -> None:
    from .check import check

    configuration = _configuration(args)
    for remark in check(configuration):
        print(f"Warning: {remark}")
    names = ", ".join(configuration.get("things", ())) or "no Things"
    print(f"The configuration is valid: {names}.")


def _certificate(args: argparse.Namespace) -> None:
    from labthings_fastapi.server.config.files import settings_folder
    from labthings_fastapi.server.web.tls import own_certificate

    own = own_certificate(settings_folder(args), args.hosts, add_hosts=True)
    print(f"Certificate: {own.certificate}")
    print(f"Private key: {own.key} (keep it on this computer)")
    print(f"Valid for:   {', '.join(own.names)}")
    print(f"Valid until: {own.expires:%Y-%m-%d}")
    print(f"Fingerprint: {own.fingerprint} (SHA-256)")


def _log_tail() -> LogTail:
    from .fallback import LogTail

    tail = LogTail()
    logging.getLogger().addHandler(tail)
    return tail


def _configuration(args: argparse.Namespace) -> dict[str, Any]:
    make_modules_importable(args)
    return load_config(args)


def _tls(args: argparse.Namespace, settings_folder: Path) -> Tls | None:
    from labthings_fastapi.server.web.tls import chosen_tls

    if (args.tls_cert is None) is not (args.tls_key is None):
        raise UsageError("--tls-cert and --tls-key must be given together")
    if args.tls and args.tls_cert is not None:
        raise UsageError("--tls cannot be combined with --tls-cert and --tls-key")
    choice = args.tls or ((args.tls_cert, args.tls_key) if args.tls_cert is not None else False)
    return chosen_tls(choice, settings_folder, args.host)


def _serve(args: argparse.Namespace) -> None:
    from labthings_fastapi.server.address import check_address
    from labthings_fastapi.server.config.validation import validated
    from labthings_fastapi.thing_host.folder_lock import folder_kept

    document = _configuration(args)
    if args.insecure:
        document["security"] = insecure(document.get("security"))
    config = validated(document)
    # Before the Things are made: their settings may reach the hardware of another server.
    with folder_kept(config.settings_folder):
        check_address(args.host, args.port)
        _serve_with_folder(config, args)


def _serve_with_folder(config: ThingServerConfig, args: argparse.Namespace) -> None:
    from labthings_fastapi.server.access.checks import check_listen_host
    from labthings_fastapi.server.address import ListenAddress

    from .server import ThingServer

    server = ThingServer(config, debug=args.debug, tolerant=args.tolerant)
    check_listen_host(server._access, args.host)
    tls = _tls(args, config.settings_folder)
    names = ", ".join(server.things) or "no Things"

    def say(address: ListenAddress) -> None:
        print(f"Serving {names} on {address.url.removesuffix('/')}{server.api_prefix}/", flush=True)
        if tls is not None:
            print(f"Fingerprint of {tls.certificate} (SHA-256): {tls.fingerprint}", flush=True)

    server._when_listening = say
    server.serve(args.host, args.port, tls=tls or False)


def insecure(security: Any) -> Any:
    """Return the security section of a configuration with access for everyone."""
    if isinstance(security, str):
        security = {"authentication": security}
    # A section that is not an object is reported with the other errors of the configuration.
    return {**security, "insecure": True} if isinstance(security, dict) else {"insecure": True}


def _run_fallback(args: argparse.Namespace, error: Exception, tail: LogTail) -> None:
    from labthings_fastapi.server.address import AddressError, ListenAddress
    from labthings_fastapi.server.config.files import settings_folder
    from labthings_fastapi.server.web.run import ServerHooks, run_until_stopped

    from .fallback import app, explain

    if isinstance(error, AddressError | UnprotectedError):
        return
    try:
        tls = _tls(args, settings_folder(args))
    except Exception as tls_error:  # noqa: BLE001 - without TLS everyone could read the log
        _fail(tls_error, args)
        return
    app.set_context(**explain(error, tail, debug=args.debug))

    async def say(address: ListenAddress) -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more
            print(f"Serving the error page on {address.url}", file=sys.stderr, flush=True)

    run_until_stopped(ServerHooks(app, say), args.host, args.port, grace=1, tls=tls)


def _fail(error: Exception, args: argparse.Namespace) -> int:
    if args.debug:
        own_logger("server").error("The command failed.", exc_info=error)
    expected = isinstance(error, (UsageError, LabThingsError))
    text = str(error) if expected else f"{describe_exception(error)} (--debug shows where)"
    # The messages of drivers may have several lines.
    print(f"labthings-server: {' '.join(text.split())}", file=sys.stderr, flush=True)
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_NOT_STARTED


def main() -> None:
    """Run the command and end the process with its exit code."""
    code = serve_from_cli()
    if code != EXIT_OK:  # after a signal `serve` sees to it
        from labthings_fastapi.server.web.process_end import end_process_by

        end_process_by(time.monotonic() + EXIT_SECONDS, code)
    sys.exit(code)
