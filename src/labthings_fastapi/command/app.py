"""The command `labthings`: its commands, and what becomes of a failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from . import access, following, generating, outputs, recorded, running, things
from .exit_codes import CANCELLED, EXPECTED, exit_code
from .printing import remark

_HELP = """Use the Things of a server: instruments, and parts of them.

Exit codes: 0 done, 1 the run failed, 2 usage, 3 not reachable, 4 refused, 130 cancelled.
"""


class Commands(TyperGroup):
    """Commands whose failures are told in one paragraph, with an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(CANCELLED) from None
        except BrokenPipeError:
            raise  # of `labthings watch … | head`: click ends the process quietly
        except EXPECTED as error:
            remark(str(error))
            raise typer.Exit(exit_code(error)) from None


app = typer.Typer(
    cls=Commands,
    name="labthings",
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "things": things.things,
    "describe": things.describe,
    "get": things.get,
    "set": things.set_property,
    "run": running.run,
    "runs": recorded.runs,
    "show": recorded.show,
    "cancel": recorded.cancel,
    "stop": running.stop,
    "logs": recorded.logs,
    "watch": following.watch,
    "events": following.events,
    "files": outputs.files,
    "download": outputs.download,
    "pin": outputs.pin,
    "unpin": outputs.unpin,
    "upload": outputs.upload,
    "discover": access.discover,
    "login": access.login,
    "logout": access.logout,
    "generate-client": generating.generate_client,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)


def main() -> None:
    """Run the command of the command line."""
    app(prog_name="labthings")
