"""The command `labthings-server`: run a server, check its configuration, make a certificate."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labthings_fastapi.exceptions import LabThingsError, UnprotectedError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.server.config.files import UsageError, load_config, make_modules_importable

if TYPE_CHECKING:
    from labthings_fastapi.server.web.tls import Tls

    from .config_model import ThingServerConfig
    from .fallback import LogTail
    from .server import ThingServer

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
    parser.add_argument(
        "command",
        nargs="?",
        metavar="serve | check | cert",
        default="serve",
        help="serve (the default); check: list all errors of the configuration, start nothing; "
        "cert: make a certificate for --tls, or show the existing one",
    )
    _add_options(parser)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    flag = partial(add, action="store_true")
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
    flag("--fallback", help="if the start fails, serve a page with the error and the log")
    flag("--insecure", help="let everyone on the network control the instruments without a token")
    flag("--tolerant", help="run without the Things that cannot start")


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


def get_default_parser() -> argparse.ArgumentParser:
    """Return a parser to pass on: `argparse.ArgumentParser(parents=[get_default_parser()])`.

    What it reads becomes a configuration by `config_from_args`.
    """
    parser = argparse.ArgumentParser(add_help=False)
    _add_options(parser)
    return parser


def config_from_args(args: argparse.Namespace) -> ThingServerConfig:
    """Return the configuration that options name, which `ThingServer` takes.

    Raises:
        RuntimeError: the options name none, or several.
        FileNotFoundError: there is no such file.
        ServerConfigurationError: listing every error by its path.
    """
    from labthings_fastapi.server.config.validation import validated

    args.demo = getattr(args, "demo", False)
    document = _configuration(args)
    if getattr(args, "insecure", False):
        document["security"] = insecure(document.get("security"))
    return validated(document)


def serve_from_cli(argv: Sequence[str] | None = None, *, dry_run: bool = False) -> ThingServer:
    """Serve what a command line says, until SIGTERM or Ctrl-C; return the server that has stopped.

    For programs of a laboratory. With `dry_run`, the server is only made.

    Raises:
        RuntimeError: there is no configuration, or there are several.
        FileNotFoundError: there is no such file.
        SystemExit: the configuration is wrong, or a Thing cannot start; the reason is printed.
    """
    args = parse_args(argv)
    if args.command != "serve":
        raise UsageError(f"serve_from_cli serves, and {args.command!r} is another command")
    made: list[ThingServer] = []
    try:
        if dry_run:
            from .server import ThingServer as Server

            config = config_from_args(args)
            made.append(Server(config, debug=args.debug, tolerant=args.tolerant))
        else:
            _run(args, partial(_serve, made=made))
    except UsageError:
        raise
    except Exception as error:
        raise SystemExit(_fail(error, args)) from error
    return made[0]


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run the command of a command line, by default `serve`; return the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments and arguments[0] in CREDENTIAL_COMMANDS:
        from .credentials_cli import credentials_from_cli

        return credentials_from_cli(arguments)
    args = parse_args(arguments)
    try:
        _run(args, {"check": _check, "cert": _certificate, "serve": _serve}[args.command])
    except Exception as error:  # noqa: BLE001 - printed for the user
        return _fail(error, args)
    return EXIT_OK


class _ToldError(Exception):
    """A command failed, and the user has been told why."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _run(args: argparse.Namespace, run: Callable[[argparse.Namespace], object]) -> None:
    """Run a command; if it fails and the options say so, serve the page about that."""
    from labthings_fastapi.own_log import log_to_stderr

    log_to_stderr(logging.DEBUG if args.debug else logging.INFO)
    tail = _log_tail() if args.command == "serve" and args.fallback else None
    try:
        run(args)
    except Exception as error:
        if tail is None:
            raise
        _fail(error, args)
        _run_fallback(args, error, tail)
        raise _ToldError(error) from error
    finally:
        if tail is not None:
            logging.getLogger().removeHandler(tail)


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


def _serve(args: argparse.Namespace, made: list[ThingServer] | None = None) -> None:
    """Serve; the server is the last of `made`."""
    from labthings_fastapi.server.address import check_address
    from labthings_fastapi.thing_host.folder_lock import folder_kept

    config = config_from_args(args)
    # Before the Things are made: their settings may reach the hardware of another server.
    with folder_kept(config.settings_folder):
        check_address(args.host, args.port)
        _serve_with_folder(config, args, [] if made is None else made)


def _serve_with_folder(
    config: ThingServerConfig, args: argparse.Namespace, made: list[ThingServer]
) -> None:
    from labthings_fastapi.server.access.checks import check_listen_host
    from labthings_fastapi.server.address import ListenAddress

    from .server import ThingServer

    server = ThingServer(config, debug=args.debug, tolerant=args.tolerant)
    made.append(server)
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

    from .fallback import FallbackContext, app

    if isinstance(error, AddressError | UnprotectedError):
        return
    try:
        tls = _tls(args, settings_folder(args))
    except Exception as tls_error:  # noqa: BLE001 - without TLS everyone could read the log
        _fail(tls_error, args)
        return
    log = "\n".join(tail.lines)
    app.set_context(FallbackContext(error, config=_config_if_any(args), log_history=log))

    async def say(address: ListenAddress) -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more
            print(f"Serving the error page on {address.url}", file=sys.stderr, flush=True)

    run_until_stopped(ServerHooks(app, say), args.host, args.port, grace=1, tls=tls)


def _fail(error: Exception, args: argparse.Namespace) -> int:
    if isinstance(error, _ToldError):
        return _code_of(error.error)
    if args.debug:
        own_logger("server").error("The command failed.", exc_info=error)
    is_named = bool(getattr(error, "__notes__", ()))  # by its place in the configuration
    expected = is_named or isinstance(error, (UsageError, LabThingsError))
    text = _text_of(error) if expected else f"{_text_of(error)} (--debug shows where)"
    # The messages of drivers may have several lines.
    print(f"labthings-server: {' '.join(text.split())}", file=sys.stderr, flush=True)
    return _code_of(error)


def _text_of(error: Exception) -> str:
    from labthings_fastapi.server.config.build_things import explained

    return str(error) if isinstance(error, UsageError) else explained(error)


def _config_if_any(args: argparse.Namespace) -> Any:
    try:
        return _configuration(args)
    except Exception:  # noqa: BLE001 - this may be what is wrong
        return None


def _code_of(error: Exception) -> int:
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_NOT_STARTED


def main() -> None:
    """Run the command and end the process with its exit code."""
    code = run_command()
    if code != EXIT_OK:  # after a signal `serve` sees to it
        from labthings_fastapi.server.web.process_end import end_process_by

        end_process_by(time.monotonic() + EXIT_SECONDS, code)
    sys.exit(code)
