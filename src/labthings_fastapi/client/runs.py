"""Runs that a client has started, or has found again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from labthings_fastapi.exceptions import InvocationCancelledError, WaitTimeoutError

from .feeds import RunFeed
from .frames import frame_of, kept_results, require_pandas
from .problems import log_lines, run_error
from .protocol import RunState, ThingProtocol
from .run_files import RemoteFile
from .steps import Steps

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
FOREVER = float("inf")


class ClientOfRun(Protocol):
    """A `ThingClient`, as far as its runs are concerned."""

    _protocol: ThingProtocol

    def _run(self, steps: Steps[T]) -> T: ...
    def _output(self, state: RunState) -> Any: ...
    def _files(self, state: RunState) -> dict[str, RemoteFile]: ...
    def _pin(self, state: RunState, *, pinned: bool) -> None: ...


class Run:
    """One run of an action on a server; any thread may use it.

    `status` and `progress` ask the server; `wait` and `result` block.
    """

    def __init__(self, client: ClientOfRun, state: RunState) -> None:
        """Use the client's connection; `client.start.<action>(...)` makes these."""
        self._client = client
        self._state = state

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.action}: {self._state.status}>"

    @property
    def action(self) -> str:
        """The name of the action."""
        return self._state.action

    @property
    def id(self) -> str | None:
        """The id under which the server knows it; None if the server has told none."""
        return self._state.id

    @property
    def href(self) -> str | None:
        """The address of its status."""
        return self._state.url

    @property
    def status(self) -> str:
        """The status now, in the server's words."""
        return self.refresh()._state.status

    @property
    def phase(self) -> str:
        """More than the status says: queued, starting, running, cancelling, finished."""
        members = self.refresh()._state.members
        return str(members.get("phase") or members.get("status"))

    @property
    def progress(self) -> float | None:
        """Percent done, 0 to 100; None when unknown."""
        return self.refresh()._state.members.get("progress")

    @property
    def results_missed(self) -> int:
        """How many results were dropped before `results()` came to them."""
        return self._state.results_missed

    def refresh(self) -> Run:
        """Ask the server for the state, if it may still change."""
        if self._state.is_open:
            self._client._run(self._client._protocol.refresh(self._state))
        return self

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; return whether it has ended."""
        seconds = FOREVER if timeout is None else timeout
        return self._client._run(self._client._protocol.follow(self._state, seconds))

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the output.

        Raises:
            ServerActionError: the run failed.
            InvocationCancelledError: it was cancelled.
            WaitTimeoutError: it has not ended after `timeout` seconds, and goes on.
        """
        if not self.wait(timeout):
            raise WaitTimeoutError(
                f"Action {self.action} (ID: {self.id}) has not ended after {timeout:g} s, and goes "
                "on. Wait again, or cancel it.",
                invocation_id=self.id,
            )
        return self._client._output(self._state)

    def cancel(self) -> bool:
        """Ask it to stop; return False if it had ended."""
        return self._client._run(self._client._protocol.cancel(self._state))

    def logs(self) -> list[str]:
        """Return the lines of its log so far."""
        self._client._run(self._client._protocol.refresh(self._state))
        return log_lines(self._state.members.get("log"))

    def results(self) -> Iterator[Any]:
        """Yield the values that the action yields, as they come, from the first one on.

        Raises:
            ServerActionError: the run failed, after its last value.
            InvocationCancelledError: it was cancelled.
        """
        for kind, value in self.events():
            if kind == "result":
                yield value
        error = run_error(self.action, self.id, self._state.members)
        if error is not None:
            raise error

    def events(self) -> Iterator[tuple[str, Any]]:
        """Yield what happens until its end: pairs of `log`, `progress` or `result`, and data."""
        feed = RunFeed(self._client._protocol, self._state)
        if not feed.follows and not self._state.is_open:
            self.refresh()
        try:
            while True:
                yield from self._client._run(feed.next())
                if feed.over:
                    return
        finally:
            self._client._run(feed.close())

    def to_pandas(self) -> pd.DataFrame:
        """Return the values yielded so far as a table: a row each, with dotted columns.

        `table.attrs["results_dropped"]` counts the values that the server no longer keeps.

        Raises:
            ImportError: pandas is not installed.
            ClientError: the action yields no values.
        """
        require_pandas()
        client = self._client
        values, dropped = client._run(kept_results(client._protocol, self._state))
        return frame_of(values, dropped, client._protocol.output_schema(self.action))

    @property
    def files(self) -> dict[str, RemoteFile]:
        """The files that it left, or has written so far, by name: `run.files["a.tif"].save(…)`."""
        return self._client._files(self._state)

    def pin(self) -> None:
        """Let the server keep it with its blobs and files, beyond every age and limit."""
        self._client._pin(self._state, pinned=True)

    def unpin(self) -> None:
        """Let the server keep it as long as others."""
        self._client._pin(self._state, pinned=False)

    def _after_interrupt(self) -> str:
        """Cancel after Ctrl-C, and say what became of the run."""
        name = f"Action {self.action} (ID: {self.id})"
        began = time.monotonic()
        try:
            self.cancel()
            ended = self.wait(5.0)
        except Exception as error:  # noqa: BLE001 - said, and then the interrupt is raised
            return f"{name}: the server could not be asked to cancel it: {error}"
        if not ended:
            seconds = time.monotonic() - began
            return f"{name} was asked to stop {seconds:.0f} s ago and has not stopped yet."
        outcome = run_error(self.action, self.id, self._state.members)
        if outcome is None:
            return f"{name} had completed."
        if isinstance(outcome, InvocationCancelledError):
            return f"{name} was cancelled, and has stopped."
        return str(outcome)
