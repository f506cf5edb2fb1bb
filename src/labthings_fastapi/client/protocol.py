"""What a client asks of a Thing, as steps without input and output; see `steps`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin
from uuid import uuid4

from labthings_fastapi.exceptions import (
    ClientError,
    ClientPropertyError,
    ForeignAddressError,
    ServerUnreachableError,
    WaitTimeoutError,
)

from .arrays import (
    ACCEPT,
    ARRAY_SECONDS,
    array_body,
    array_value,
    filled,
    has_numpy,
    holds_arrays,
    is_array_answer,
)
from .description import Description, Form, origin_of
from .dialects import HololinkedFailureError, hololinked_href, hololinked_value
from .problems import (
    ACTION_FAILED,
    CANCELLED,
    invoke_error,
    problem_of,
    property_error,
    request_error,
)
from .steps import REQUEST_SECONDS, Answer, Pause, Request, SilenceError, Steps
from .values import input_of, takes_object, to_body

FINAL = frozenset({"completed", "error", "cancelled", "failed"})
RETRY_PAUSES = (0.1, 0.3, 1.0)  # seconds between attempts of a request that may be repeated
RECONNECT_SECONDS = 60.0  # how long a server that a run is waited for may be away
FIRST_WAIT = 1.0  # seconds that the first answer may wait for the end of a run
LONGEST_WAIT = 20.0
ACTION_SECONDS = 3600.0  # how long the answer of an action may take that tells nothing before
_POLLS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # seconds, for servers that cannot wait
_REDIRECTS = 5
_JSON = {"Content-Type": "application/json"}


def fetch(request: Request, *, repeat: bool = False) -> Steps[Any]:
    """Send a request, with `repeat` again and again for a second or two."""
    for pause in (*RETRY_PAUSES, None):
        try:
            return (yield request)
        except ServerUnreachableError:
            if not repeat or pause is None:
                raise
        yield Pause(pause)
    raise AssertionError  # not reached


def describe(url: str) -> Steps[Description]:
    """Get a Thing Description."""
    headers = {"Accept": "application/td+json, application/json;q=0.9, */*;q=0.1"}
    answer: Answer = yield Request("GET", url, headers=headers)
    for _ in range(_REDIRECTS):  # such as to the same path with a slash at its end
        address = _redirect(answer)
        if address is None:
            break
        url = address
        answer = yield Request("GET", url, headers=headers)
    if not answer.ok:
        raise request_error(answer, f"There is no Thing Description at {url}")
    try:
        members = answer.json()
    except (ValueError, RecursionError):
        raise ClientError(f"{url} is no Thing Description: the answer is not JSON.") from None
    return Description(url, members)


def _redirect(answer: Answer) -> str | None:
    """Return where an answer redirects to, on the same server; None if it does not."""
    location = answer.headers.get("location")
    if answer.status not in (301, 302, 303, 307, 308) or not location:
        return None
    address = urljoin(answer.url, location)
    if origin_of(address) != origin_of(answer.url):
        raise ForeignAddressError(address, answer.url)
    return address


@dataclass(slots=True)
class RunState:
    """One run of an action as the server told last. `members` is its ActionStatus."""

    action: str
    members: dict[str, Any]
    url: str | None = None  # where its status is; None: it ended with the answer
    waits: bool = True  # whether the server can wait for the end (Prefer)
    results_missed: int = 0
    polls: int = 0
    cancelled: bool = False  # whether this client has asked it to stop

    @property
    def id(self) -> str | None:
        id = self.members.get("id")
        return None if id is None else str(id)

    @property
    def status(self) -> str:
        """The status, of the five that our servers know; another server may have more."""
        status = str(self.members.get("status", "pending"))
        if status != "failed":
            return status
        error = self.members.get("error")
        cancelled = isinstance(error, Mapping) and error.get("type") == CANCELLED
        return "cancelled" if cancelled else "error"

    @property
    def is_open(self) -> bool:
        return self.status not in FINAL

    def link(self, relation: str) -> str | None:
        """Return the address of something that belongs to it, as the server states it."""
        links = self.members.get("links")
        for link in links if isinstance(links, list) else ():
            if isinstance(link, Mapping) and link.get("rel") == relation:
                return str(link.get("href"))
        return None


@dataclass(frozen=True, slots=True)
class PendingStart:
    """A request that starts a run, and that may be sent again: its key says that it is one."""

    action: str
    request: Request
    key: str = field(default_factory=lambda: str(uuid4()))


class ThingProtocol:
    """The requests of one Thing. Immutable; any thread may use it."""

    def __init__(self, description: Description, *, arrays: bool = False) -> None:
        """Speak to one Thing; with `arrays`, values are arrays of numpy where they are described.

        Without numpy they are lists all the same.
        """
        self.description = description
        self.arrays = arrays and has_numpy()
        members = description.members
        context = members.get("@context")
        contexts = context if isinstance(context, list) else [context]
        # Ours: it knows keys of requests and can wait for the end of a run.
        self.is_ours = any(isinstance(each, Mapping) and "labthings" in each for each in contexts)
        # hololinked writes "context", takes positional arguments, and tells failures with 200.
        self.is_hololinked = context is None and "context" in members
        self.is_webthing = description.is_webthing

    def _property(self, name: str) -> Mapping[str, Any]:
        found = self.description.affordances("properties").get(name)
        if found is None:
            raise ClientPropertyError(self._unknown("property", "properties", name))
        return found

    def _unknown(self, word: str, kind: Any, name: str) -> str:
        known = ", ".join(self.description.affordances(kind)) or "none"
        return f"{self.description.title!r} has no {word} called {name!r}. It has: {known}."

    def read(self, name: str) -> Steps[Any]:
        """Read a property."""
        if self._property(name).get("writeOnly"):
            raise ClientPropertyError("This property may not be read.")
        found = self.description.array_form("properties", name, "readproperty")
        if found is not None and self.arrays:
            request = Request(found.method, found.url(), headers=ACCEPT, seconds=ARRAY_SECONDS)
        else:
            form = self._form("properties", name, "readproperty")
            request = Request(form.method, form.url())
        answer = yield from fetch(request, repeat=True)
        if not answer.ok:
            raise property_error(answer, "get", name)
        if is_array_answer(answer):
            return array_value(answer, f"Failed to get property {name}")
        value = self._value_of(answer, f"Failed to get property {name}")
        return value[name] if self.is_webthing and isinstance(value, dict) else value

    def write(self, name: str, value: Any) -> Steps[None]:
        """Write a property."""
        if self._property(name).get("readOnly"):
            raise ClientPropertyError("This property may not be set.")
        request = self._with_arrays("properties", name, "writeproperty", value)
        if request is None:
            form = self._form("properties", name, "writeproperty")
            body = to_body({name: value} if self.is_webthing else value)
            request = Request(form.method, form.url(), body, _JSON)
        answer: Answer = yield request
        if not answer.ok:
            raise property_error(answer, "set", name)
        if self.is_hololinked:
            self._value_of(answer, f"Failed to set property {name}")

    def _with_arrays(
        self, kind: Any, name: str, operation: str, value: Any, schema: Any = None
    ) -> Request | None:
        """Return a request with the arrays in a value as numpy writes them; None: as JSON."""
        if not holds_arrays(value):
            return None
        form = self.description.array_form(kind, name, operation)
        if form is None:
            return None
        schema = self.description.affordances(kind)[name] if schema is None else schema
        body = array_body(value, schema, form.content_type)
        if body is None:
            return None
        headers = {"Content-Type": body[1]}
        return Request(form.method, form.url(), body[0], headers, ARRAY_SECONDS)

    def _value_of(self, answer: Answer, what: str) -> Any:
        value = _json_of(answer, what)
        if not self.is_hololinked:
            return value
        try:
            return hololinked_value(value)
        except HololinkedFailureError as error:
            text = f"{what}: {error.problem['title']}: {error}"
            raise ClientPropertyError(text, problem=error.problem) from None

    def read_all(self) -> Steps[dict[str, Any]]:
        """Read all properties, in one request if the Thing offers that."""
        form = self.description.top_form("readallproperties")
        if form is not None:
            answer = yield from fetch(Request("GET", form.url()), repeat=True)
            if answer.ok:
                with suppress(ClientPropertyError):  # one of them fails; it is told by its name
                    values = self._value_of(answer, "Failed to get the properties")
                    if isinstance(values, dict):
                        return values
        values = {}
        for name, each in self.description.affordances("properties").items():
            if not each.get("writeOnly"):
                values[name] = yield from self.read(name)
        return values

    def _form(self, kind: Any, name: str, operation: str) -> Form:
        form = self.description.form(kind, name, operation)
        if form is None:
            raise ClientError(
                f"{self.description.title!r} states no way over HTTP for {operation} of {name!r}."
            )
        return form

    # --- actions --------------------------------------------------------------------------

    def prepare(
        self, action: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> PendingStart:
        """Return the request that starts a run; nothing is sent."""
        found = self.description.affordances("actions").get(action)
        if found is None:
            raise ClientError(self._unknown("action", "actions", action))
        form = self._form("actions", action, "invokeaction")
        schema = found.get("input")
        schema = schema if isinstance(schema, Mapping) else None
        value: Any
        if self.is_hololinked:
            value = {**kwargs, "__args__": list(args)} if args else dict(kwargs)
        else:
            value = input_of(action, schema, args, kwargs)
        request = self._with_arrays("actions", action, "invokeaction", value, schema or {})
        if request is not None:
            return PendingStart(action, request)
        address = hololinked_href(form.url()) if self.is_hololinked else form.url()
        body: bytes | None = to_body(value)
        if schema is None and not value:
            body = None if self.is_ours else b"null"
        elif value is None and schema is not None and not takes_object(schema):
            body = b"null"
        if self.is_webthing:
            body = to_body({action: {"input": value}})
        headers = _JSON if body is not None else {}
        stated = found.get("synchronous")
        seconds = REQUEST_SECONDS if self.is_ours or stated is False else ACTION_SECONDS
        return PendingStart(action, Request(form.method, address, body, headers, seconds))

    def start(self, pending: PendingStart, wait: float = 0.0) -> Steps[RunState]:
        """Start a run; the answer may come up to `wait` seconds later, when the run has ended."""
        headers = {**pending.request.headers, **self.accept, "Idempotency-Key": pending.key}
        if wait >= 1:
            headers["Prefer"] = f"wait={int(wait)}"
        request = replace(pending.request, headers=headers, seconds=pending.request.seconds + wait)
        try:
            answer = yield from fetch(request, repeat=self.is_ours)
        except SilenceError as error:
            if self.is_ours:
                raise
            raise WaitTimeoutError(
                f"Action {pending.action}: the server has not answered for {request.seconds:g} s, "
                "and tells nothing before. The action may go on there."
            ) from error
        if not answer.ok:
            return (yield from self._failed_run(pending.action, answer))
        run = self._run_of(pending.action, answer)
        yield from self.fill(run)
        return run

    @property
    def accept(self) -> Mapping[str, str]:
        """Headers that ask for arrays as they are; none for a client of lists."""
        return ACCEPT if self.arrays and self.is_ours else {}

    def fill(self, run: RunState) -> Steps[None]:
        """Fetch the large arrays of an output, which the status of a run only links. Idempotent."""
        if "output" in run.members and not run.is_open:
            run.members["output"] = yield from self.filled(run.members["output"])

    def output_schema(self, action: str) -> Any:
        """Return the data schema of an action's output, if it is described."""
        return self.description.affordances("actions").get(action, {}).get("output")

    def filled(self, value: Any) -> Steps[Any]:
        """Fetch the arrays to which there are links in a value."""
        return (yield from filled(value, self.description, lists=not self.arrays))

    def _failed_run(self, action: str, answer: Answer) -> Steps[RunState]:
        """Return the run that has failed before the answer to its start came.

        Raises:
            FailedToInvokeActionError: there is none: it was refused.
        """
        problem = problem_of(answer)
        if answer.status != HTTPStatus.INTERNAL_SERVER_ERROR:
            raise invoke_error(answer, action)
        members: dict[str, Any] = {"status": "failed", "error": problem}
        href = problem.get("href")
        if not self.is_ours:
            return RunState(action, members)
        if problem.get("type") not in (ACTION_FAILED, CANCELLED) or not isinstance(href, str):
            raise invoke_error(answer, action)
        run = RunState(action, members, self.description.resolve(href))
        with suppress(ClientError):  # its id and log, if the server still knows it
            yield from self.refresh(run)
        return run

    def _run_of(self, action: str, answer: Answer) -> RunState:
        if is_array_answer(answer):
            output = array_value(answer, f"The output of action {action}")
            return RunState(action, {"status": "completed", "output": output})
        value = _json_of(answer, f"Error when invoking action {action}")
        if self.is_hololinked:
            try:
                value = hololinked_value(value)
            except HololinkedFailureError as error:
                log = [{"levelname": "ERROR", "message": str(error), "traceback": error.traceback}]
                return RunState(action, {"status": "failed", "error": error.problem, "log": log})
        if self.is_webthing and isinstance(value, dict) and isinstance(value.get(action), dict):
            value = value[action]
        location = answer.headers.get("location")
        if isinstance(value, dict) and isinstance(value.get("status"), str):
            href = value.get("href") or location
            if isinstance(href, str):
                return RunState(action, dict(value), self.description.resolve(href), self.is_ours)
        if location and answer.status in (201, 202):
            members = {"status": "pending", "href": location}
            return RunState(action, members, self.description.resolve(location), False)
        return RunState(action, {"status": "completed", "output": value})

    def attach(self, action: str | None, id: str) -> Steps[RunState]:
        """Return a run of this Thing that was started by somebody, by its id."""
        actions = [action] if action is not None else list(self.description.affordances("actions"))
        for name in actions:
            form = self.description.form("actions", name, "queryaction")
            if form is not None:
                run = RunState(name, {"id": id}, form.url(actionID=id), self.is_ours)
                request = Request("GET", run.url or "", headers=self.accept)
                answer = yield from fetch(request, repeat=True)
                if answer.ok:
                    self._take(run, answer)
                    return run
        raise ClientError(f"{self.description.title!r} knows no run with id {id}.")

    def refresh(self, run: RunState, wait: float = 0.0) -> Steps[None]:
        """Ask for the status of a run, and wait up to `wait` seconds for its end."""
        if run.url is None:
            return
        headers = {"Prefer": f"wait={int(wait)}"} if wait >= 1 and run.waits else {}
        request = Request("GET", run.url, headers={**headers, **self.accept})
        answer = yield from fetch(replace(request, seconds=request.seconds + wait), repeat=True)
        if run.cancelled and answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            run.members["status"] = "cancelled"  # a server need not keep what it has cancelled
            return
        if not answer.ok:
            raise request_error(answer, f"Run {run.id} of action {run.action}")
        if headers and "preference-applied" not in answer.headers:
            run.waits = False
        self._take(run, answer)

    def _take(self, run: RunState, answer: Answer) -> None:
        value = _json_of(answer, f"Run {run.id} of action {run.action}")
        if self.is_webthing and isinstance(value, dict):
            value = value.get(run.action, value)
        if not isinstance(value, dict):
            raise ClientError(f"Run {run.id}: {run.url} is not the status of a run.")
        run.members.update(value)

    def follow(self, run: RunState, seconds: float) -> Steps[bool]:
        """Wait for the end of a run, about `seconds` at most; return whether it has ended.

        A server that is away is waited for; its answer afterwards tells what became of the run.
        """
        away = 0.0
        while run.is_open and seconds > 0:
            if run.waits:
                pause = max(1.0, min(LONGEST_WAIT, seconds))
            else:
                pause = min(_POLLS[min(run.polls, len(_POLLS) - 1)], seconds)
                run.polls += 1
                yield Pause(pause)
            seconds -= pause
            try:
                yield from self.refresh(run, pause if run.waits else 0.0)
                away = 0.0
            except ServerUnreachableError as error:
                away += sum(RETRY_PAUSES) + 1
                if away > RECONNECT_SECONDS:
                    raise self._lost(run, error) from error
                yield Pause(1.0)
        yield from self.fill(run)
        return not run.is_open

    def _lost(self, run: RunState, error: Exception) -> ServerUnreachableError:
        return ServerUnreachableError(
            f"Run {run.id} of action {run.action}: the server has not answered for "
            f"{RECONNECT_SECONDS:g} s ({error}). The run may go on there; "
            f"`client.attach({run.id!r})` finds it again.",
            invocation_id=run.id,
        )

    def cancel(self, run: RunState) -> Steps[bool]:
        """Ask a run to stop; return False if it had ended."""
        if run.url is not None and run.is_open and not self.is_ours:
            yield from self.refresh(run)  # `webthing` says yes also after the end
        if run.url is None or not run.is_open:
            return False
        answer: Answer = yield Request("DELETE", run.url)
        if answer.status == 409:
            yield from self.refresh(run)
            return False
        if not answer.ok:
            raise request_error(answer, f"Run {run.id} of action {run.action} was not cancelled")
        run.cancelled = True
        return True


def _json_of(answer: Answer, what: str) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        kind = answer.media_type or "no media type"
        raise ClientError(f"{what}: the server's answer is not JSON ({kind}).") from None
