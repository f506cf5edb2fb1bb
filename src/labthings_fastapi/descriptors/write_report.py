"""What a client is told about a write, beside an exception.

A setter may refuse a value with a ValueError, which is then the client's mistake. And a value may
have been set although it could not be read back: the write succeeded, with a warning.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.turns import run_code
from labthings_fastapi.exceptions import LabThingsError, describe_exception
from labthings_fastapi.thing_description.paths import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class WriteReport:
    """One write by a client; used by the thread that calls the setter."""

    def __init__(self) -> None:
        self.refusal: ValueError | None = None
        """The error of the setter that refused the value."""
        self.warnings: list[str] = []
        """What went wrong after the value had been set."""


_report: ContextVar[WriteReport | None] = ContextVar("labthings_write_report", default=None)


@contextmanager
def reported_write() -> Iterator[WriteReport]:
    """Collect what the setters that are called inside say."""
    report = WriteReport()
    token = _report.set(report)
    try:
        yield report
    finally:
        _report.reset(token)


def call_setter(setter: Callable[[Any, Any], None], thing: Any, value: Any) -> None:
    """Call a setter; its ValueError, which is raised again, is noted as a refusal."""
    try:
        run_code(thing, setter, thing, value)
    except ValueError as error:
        report = _report.get()
        if report is not None and not isinstance(error, LabThingsError):
            report.refusal = error
        raise


def read_back(thing: Any, name: str, publish: Callable[[Any], None]) -> None:
    """Read and publish a property that has been set; a failure is a warning and no error."""
    try:
        publish(thing)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - getters are user code
        not_read_back(thing, name, error)


def not_read_back(thing: Any, name: str, error: BaseException, consequence: str = "") -> None:
    """Log that a value was set and could not be read back, and tell the client."""
    warning = (
        f"Property {name!r} of Thing {name_of(thing)!r} was set, but reading it back failed"
        f"{', ' + consequence if consequence else ''}: {describe_exception(error)}"
    )
    thing_log(name_of(thing)).warning("%s", warning, exc_info=error)
    report = _report.get()
    if report is not None:
        report.warnings.append(warning)
