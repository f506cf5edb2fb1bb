"""Commands that move things: run, stop."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from labthings_fastapi.client.bars import Bars
from labthings_fastapi.client.feeds import RunFeed
from labthings_fastapi.client.problems import run_error
from labthings_fastapi.client.protocol import PendingStart, RunState, ThingProtocol
from labthings_fastapi.client.server_runs import cancel_request, list_open_runs
from labthings_fastapi.client.value_texts import expected, value_of
from labthings_fastapi.client.values import takes_object
from labthings_fastapi.exceptions import (
    ClientError,
    FailedToInvokeActionError,
    InvocationCancelledError,
    ServerUnreachableError,
)

from .bench import DEFAULT_SERVER, Affordance, CommandBench, Json, Server, Verify, bench
from .completion import complete_action, complete_parameter
from .exit_codes import CANCELLED, DONE, FAILED, UsageError, code_of_status, exit_code
from .printing import print_json, print_line, print_table, print_text, remark, shown

_FOREVER = float("inf")
CANCEL_SECONDS = 5.0
STOP_SECONDS = 10.0


def run(
    action: Annotated[
        str,
        typer.Argument(metavar="THING.ACTION", autocompletion=complete_action),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE…", autocompletion=complete_parameter),
    ] = None,
    input: Annotated[
        str, typer.Option("--input", metavar="FILE", help="The input as JSON; `-`: from stdin.")
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="With --json, print a line for all that happens.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the id of the run, and do not wait.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Run an action and wait for its end; Ctrl-C cancels it.

    Its log goes to the standard error; its results, as they come, and its output to the standard
    output.
    """
    if follow and detach:
        raise UsageError("--follow waits for the end and --detach does not: give one of them.")
    with bench(server, verify) as opened:
        named = opened.affordance(action, "actions")
        pending = _prepare(named, _input_of(named, arguments or [], input))
        if detach:
            _detached(opened.run(named.protocol.start(pending)), json=json)
            return
        attended = AttendedRun(opened, named.protocol, pending, lines=json and follow, json=json)
        raise typer.Exit(attended.attend())


def document_of(state: RunState) -> dict[str, Any]:
    """Return a run as JSON, with its status in one of our five words (W3C says `failed`)."""
    return {**state.members, "status": state.status}


def _detached(state: RunState, *, json: bool) -> None:
    if json:
        print_json(document_of(state))
    else:
        print_text(state.id or state.status)
    if not state.is_open:  # it was refused at once, or the server answers with the result
        raise typer.Exit(code_of_status(state.status))


def _input_of(named: Affordance, arguments: list[str], file: str) -> Any:
    if file and arguments:
        raise UsageError("Give the input either as KEY=VALUE or with --input, not both.")
    if file:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            source = "the standard input" if file == "-" else file
            raise UsageError(f"The input in {source} is not JSON: {error}") from None
    schema = named.schema.get("input")
    if isinstance(schema, Mapping) and not takes_object(schema):
        if len(arguments) > 1:
            raise UsageError(f"{named} takes one value: {expected(schema)}.")
        return value_of(arguments[0], schema, str(named)) if arguments else None
    return dict(_argument(each, named, schema) for each in arguments)


def _argument(text: str, named: Affordance, schema: Any) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    found = schema if isinstance(schema, Mapping) else {}
    members = found.get("properties") or {}
    others = found.get("additionalProperties", not members)
    if not equals or not name:
        raise UsageError(f"{text!r} is no KEY=VALUE. {named} takes: {_parameters(members)}.")
    if name not in members and not others:
        raise UsageError(f"{named} takes no {name!r}. It takes: {_parameters(members)}.")
    inner = members.get(name, others)
    return name, value_of(value, inner, f"{named} {name}")


def _parameters(members: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}={expected(each)}" for name, each in members.items()) or "nothing"


def _prepare(named: Affordance, value: Any) -> PendingStart:
    schema = named.schema.get("input")
    if isinstance(schema, Mapping) and not takes_object(schema):
        args, kwargs = ((value,) if value is not None else ()), {}
    elif isinstance(value, dict):
        args, kwargs = (), value
        missing = [name for name in (schema or {}).get("required") or () if name not in value]
        if missing:
            known = (schema or {}).get("properties") or {}
            members = {name: known.get(name) for name in missing}
            raise UsageError(f"{named} needs {_parameters(members)}.")
    else:
        raise UsageError(f"{named} takes a JSON object, not {shown(value)}.")
    return named.protocol.prepare(named.name, args, kwargs)


class AttendedRun:
    """A run that the command waits for; for one thread."""

    def __init__(
        self,
        opened: CommandBench,
        protocol: ThingProtocol,
        pending: PendingStart,
        *,
        lines: bool,
        json: bool,
    ) -> None:
        """Start nothing yet; with `lines`, what happens is printed as lines of JSON."""
        self._bench = opened
        self._protocol = protocol
        self._pending = pending
        self._lines = lines
        self._json = json
        self._state: RunState | None = None
        self._results = 0
        self._last: Any = None

    def attend(self) -> int:
        """Start it, wait for its end, and print what comes of it; return the exit code."""
        try:
            self._state = self._bench.run(self._protocol.start(self._pending))
            self._follow(self._state)
        except KeyboardInterrupt:
            remark(self._cancel())
            return CANCELLED
        except FailedToInvokeActionError as error:
            if error.problem.get("status") == 422:
                action = self._protocol.description.affordances("actions")[self._pending.action]
                members = (action.get("input") or {}).get("properties") or {}
                text = f"{error}\nIt takes: {_parameters(members)}."
                raise FailedToInvokeActionError(text, problem=error.problem) from error
            raise
        return self._tell(self._state)

    def _follow(self, state: RunState) -> None:
        bars = Bars(False if self._json else None)
        feed = RunFeed(self._protocol, state)
        shown_bar = bars.bar(state.action) if bars.shown and feed.follows else nullcontext()
        try:
            with shown_bar as bar:
                while True:
                    for kind, data in self._bench.run(feed.next()):
                        if kind == "progress" and bar is not None:
                            bar.update(data)
                        self._happened(kind, data, streamed=feed.follows)
                    if feed.over:
                        return
        except ServerUnreachableError:  # wait for the server, which tells what became of the run
            remark("The connection was lost. Waiting for the server.")
            self._bench.run(self._protocol.follow(state, _FOREVER))
        finally:
            self._bench.run(feed.close())

    def _happened(self, kind: str, data: Any, *, streamed: bool) -> None:
        if kind == "result" and not streamed:
            return  # it is the output, which is printed at the end
        if kind == "result":
            self._results += 1
            self._last = data
        if self._lines:
            print_line({"event": kind, "data": data})
        elif self._json:
            return
        elif kind == "result":
            print_text(shown(data))
        elif kind == "log":
            remark(f"{data.get('levelname', '')}: {data.get('message', '')}")

    def _tell(self, state: RunState) -> int:
        if state.results_missed:
            remark(f"{state.results_missed} results were dropped before they could be printed.")
        if self._lines:
            print_line({"event": "end", "data": document_of(state)})
        elif self._json:
            print_json(document_of(state))
        elif state.status == "completed":
            output = state.members.get("output")
            told = self._results and isinstance(output, list) and output[-1:] == [self._last]
            if output is not None and not told:
                print_text(shown(output))
        error = run_error(state.action, state.id, state.members)
        if error is not None:
            remark(str(error))
        return code_of_status(state.status)

    def _cancel(self) -> str:
        """Cancel it after Ctrl-C, and say what became of it."""
        name = f"{self._pending.action} (run {self._state.id if self._state else 'not known'})"
        try:
            if self._state is None:
                if not self._protocol.is_ours:
                    return f"Whether {self._pending.action} was started is not known."
                # The same key: the answer names the run that was started, if one was.
                self._state = self._bench.run(self._protocol.start(self._pending))
                name = f"{self._pending.action} (run {self._state.id})"
            began = time.monotonic()
            self._bench.run(self._protocol.cancel(self._state))
            ended = self._bench.run(self._protocol.follow(self._state, CANCEL_SECONDS))
        except (ClientError, OSError) as error:
            return f"{name}: the server could not be asked to cancel it: {error}"
        if not ended:
            seconds = time.monotonic() - began
            return f"{name} was asked to stop {seconds:.0f} s ago and has not stopped yet."
        outcome = run_error(self._state.action, self._state.id, self._state.members)
        if outcome is None:
            return f"{name} had completed."
        if isinstance(outcome, InvocationCancelledError):
            return f"{name} was cancelled, and has stopped."
        return str(outcome)


def stop(server: Server = DEFAULT_SERVER, verify: Verify = "", json: Json = False) -> None:
    """Emergency: invoke all stop actions, then cancel all runs."""
    with bench(server, verify) as opened:
        report = stop_all(opened)
    if json:
        print_json([each.members for each in report])
    else:
        rows = [(each.what, each.outcome) for each in report]
        print_table(("", ""), rows or [("Nothing", "to stop: no stop actions and no runs")])
    raise typer.Exit(max((each.code for each in report), default=DONE))


class Stopped:
    """What became of one thing that had to stop."""

    def __init__(self, what: str, outcome: str, code: int, run: str | None = None) -> None:
        """Keep what the user is told."""
        self.what = what
        self.outcome = outcome
        self.code = code
        self.run = run

    @property
    def members(self) -> dict[str, Any]:
        """It as JSON."""
        return {"what": self.what, "outcome": self.outcome, "id": self.run, "ok": self.code == 0}


def stop_all(opened: CommandBench) -> list[Stopped]:
    """Invoke all stop actions at once, then cancel all other runs; one failure stops no other."""
    actions = [
        (f"{name}.{action}", opened.thing(name), action)
        for name in opened.descriptions
        for action, each in opened.thing(name).description.affordances("actions").items()
        if each.get("labthings:stop") is True
    ]
    with ThreadPoolExecutor(max(1, len(actions) + 8)) as pool:
        started = [pool.submit(_invoke_stop, opened, *each) for each in actions]
        # A stop action that does not answer must not keep the runs going.
        wait(started, timeout=2.0)
        own = {each.result().id for each in started if _succeeded(each)}
        cancelled = _cancel_all(opened, own, pool)
        stopped = [
            pool.submit(_outcome_of_stop, opened, what, protocol, each)
            for (what, protocol, _), each in zip(actions, started, strict=True)
        ]
        return [*(each.result() for each in stopped), *cancelled]


def _succeeded(future: Future[RunState]) -> bool:
    return future.done() and future.exception() is None


def _invoke_stop(opened: CommandBench, _: str, protocol: ThingProtocol, action: str) -> RunState:
    return opened.run(protocol.start(protocol.prepare(action, (), {})))


def _told(what: str, id: str | None, work: Callable[[], Stopped]) -> Stopped:
    try:
        return work()
    except (ClientError, OSError, TypeError) as error:
        return Stopped(what, str(error), exit_code(error), id)


def _outcome_of_stop(
    opened: CommandBench, what: str, protocol: ThingProtocol, started: Future[RunState]
) -> Stopped:
    def work() -> Stopped:
        state = started.result()
        if not opened.run(protocol.follow(state, STOP_SECONDS)):
            text = f"has not ended after {STOP_SECONDS:g} s"
            return Stopped(what, text, FAILED, state.id)
        error = run_error(state.action, state.id, state.members)
        code = code_of_status(state.status)
        return Stopped(what, "done" if error is None else str(error), code, state.id)

    return _told(what, None, work)


def _cancel_all(
    opened: CommandBench, own: set[str | None], pool: ThreadPoolExecutor
) -> list[Stopped]:
    try:
        runs = opened.run(list_open_runs(opened.place))
    except (ClientError, ValueError) as error:
        return [Stopped("All runs", str(error), exit_code(error))]
    wanted = [each for each in runs if each["id"] not in own]
    done = [pool.submit(_cancel_one, opened, each) for each in wanted]
    return [each.result() for each in done]


def _cancel_one(opened: CommandBench, run: Mapping[str, Any]) -> Stopped:
    what = f"{run['action']} (run {run['id']})"

    def work() -> Stopped:
        answer = opened.run(cancel_request(opened.place, run["id"]))
        if answer.ok:
            return Stopped(what, "cancelled", DONE, run["id"])
        if answer.status == 409:
            return Stopped(what, "had ended", DONE, run["id"])
        return Stopped(what, f"not cancelled: HTTP {answer.status}", FAILED, run["id"])

    return _told(what, run["id"], work)
