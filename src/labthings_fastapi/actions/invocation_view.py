"""What can be read of a run: by its own thread, by others, and once it has ended."""

from __future__ import annotations

import sys
import uuid
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from labthings_fastapi.exceptions import LabThingsError, describe_exception
from labthings_fastapi.problems import well_formed

from .cancellation import CancelEvent
from .committed_state import CommittedState
from .context import InvocationContext
from .files import InvocationFiles
from .invocation_log import InvocationLog
from .invocation_model import (
    ACTION_INVOCATIONS_PATH,
    InvocationModel,
    Link,
    LogRecordModel,
)
from .lifecycle import InvocationState, Lifecycle
from .progress import Progress, ProgressMeter
from .requester import current_requester
from .results import InvocationResults

if TYPE_CHECKING:
    import logging
    from uuid import UUID

    from labthings_fastapi.messages.message import InvocationStatus

    from .protocols import Host, Runnable, UrlSource

T = TypeVar("T")
_OVER = CancelEvent()
"""Stands for the cancel event of every run that has ended."""
_NO_FILES = InvocationFiles()
"""Stands for the files of every run that has left none."""


_NO_RESULTS = InvocationResults()
"""Stands for the results of every run that has ended and has yielded none."""


class EmptyInput(BaseModel):
    """The input of a run that was given none."""


_NO_INPUT = EmptyInput()
_EMPTY_JSON = b"{}"
_empty_inputs: weakref.WeakValueDictionary[type[BaseModel], BaseModel] = (
    weakref.WeakValueDictionary()
)


class InvocationView:
    """One run, as far as it can be read; every property is safe from any thread at any time."""

    # Thousands of runs are retained, and a dictionary of all this takes a kilobyte more.
    __slots__ = (
        "_action",
        "_cancel_event",
        "_context",
        "_files",
        "_lifecycle",
        "_log",
        "_own_id",
        "_progress",
        "_results",
        "_thing",
        "action_name",
        "action_path",
        "committed",
        "input",
        "input_json",
        "requested_by",
        "requested_from",
        "response_timeout",
        "thing_name",
    )

    def __init__(
        self,
        action: Runnable,
        thing: Host,
        input: BaseModel | None,
        log_len: int,
        id: UUID | None,
        cancel_hook: CancelEvent | None,
    ) -> None:
        """Name the run and make room for what it leaves; action and Thing are held weakly."""
        self._own_id = id or uuid.uuid4()
        self._action = weakref.ref(action)
        self._thing = weakref.ref(thing)
        self.thing_name = thing.name
        self.action_name = action.name
        self.action_path = sys.intern(f"{thing.path}{action.name}")  # all runs of it have the same
        requester = current_requester()
        self.requested_by = requester.name if requester is not None else None
        self.requested_from = requester.address if requester is not None else None
        if requester is not None:
            requester.made_invocation = True
        self.response_timeout = action.response_timeout
        self.input: BaseModel = _NO_INPUT if input is None else _shared_if_empty(input)
        self.input_json = _input_json(self.input)
        self._lifecycle = Lifecycle(action.retention_time)
        self.committed = CommittedState(self._lifecycle.state)
        """What clients may be told: nothing final before it is recorded."""
        self._lifecycle.listen(self.committed.tell)
        self._log = InvocationLog(log_len)
        self._progress = ProgressMeter(_nowhere)
        self._results = InvocationResults()
        self._files = InvocationFiles()
        self._cancel_event = cancel_hook if cancel_hook is not None else CancelEvent(self._own_id)
        self._context: InvocationContext | None = InvocationContext(
            self._own_id, self._cancel_event, self._log, self._progress, self._files
        )

    def _compact(self) -> None:
        """Let go of what only a live run needs; everything can be read as before.

        Threads of the run that have outlived it keep what they hold.
        """
        self._context = None
        self._cancel_event = _OVER
        self._log.pack()
        self._log.news = None
        self._results.listener = None
        self._progress.show = _nowhere
        if self._progress.latest is None:
            self._progress = _NO_PROGRESS
        if not self._results.count:
            self._results = _NO_RESULTS
        if not self._files.used:
            self._files = _NO_FILES

    @property
    def id(self) -> UUID:
        """The id under which clients know this run."""
        return self._own_id

    @property
    def state(self) -> InvocationState:
        """Everything about this run at one moment, consistent in itself."""
        return self._lifecycle.state

    @property
    def status(self) -> InvocationStatus:
        """Where the run stands."""
        return self.state.status

    @property
    def phase(self) -> str:
        """Where the run stands, in more detail: queued, starting, running, cancelling, finished."""
        return self.state.phase

    @property
    def output(self) -> Any:
        """What the action returned; None until it has finished."""
        return self.state.output

    @property
    def exception(self) -> BaseException | None:
        """What the action raised, without its traceback; None if it raised nothing."""
        return self.state.exception

    @property
    def log(self) -> list[logging.LogRecord]:
        """The newest `log_len` records logged in this run."""
        return self._log.records

    @property
    def log_dropped(self) -> int:
        """How many older records were dropped."""
        return self._log.dropped

    @property
    def progress(self) -> float | None:
        """Percent done, 0 to 100; None when unknown."""
        latest = self._progress.latest
        return latest.percent if latest else None

    @property
    def progress_detail(self) -> dict[str, Any] | None:
        """The newest progress report in full; None when there was none."""
        latest = self._progress.latest
        return latest.detail() if latest else None

    @property
    def results(self) -> list[Any]:
        """What a generator action has yielded so far, the newest 10,000."""
        return self._results.values()

    @property
    def files(self) -> InvocationFiles:
        """The files that the run left behind."""
        return self._files

    @property
    def action(self) -> Runnable:
        """The action that runs; an error once it is gone."""
        return self._alive(self._action(), "action")

    @property
    def thing(self) -> Host:
        """The Thing on which it runs; an error once it is gone."""
        return self._alive(self._thing(), "Thing")

    def _alive(self, found: T | None, what: str) -> T:
        if found is None:
            raise LabThingsError(
                f"The {what} of invocation {self.id} ({self.action_path}) no longer exists."
            )
        return found

    def belongs_to(self, action: Runnable | None = None, thing: Host | None = None) -> bool:
        """Whether this is a run of that action and on that Thing; None stands for any."""
        return (action is None or self._action() is action) and (
            thing is None or self._thing() is thing
        )

    def response(self, request: UrlSource | None = None) -> BaseModel:
        """Return this run as an instance of its action's own invocation model."""
        state = self.state
        action = self._action()
        # A run that outlives its action must not break a listing.
        model = InvocationModel if action is None else action.invocation_model
        if request is not None:
            href = str(request.url_for("action_invocation", id=self.id))
        else:
            href = f"{ACTION_INVOCATIONS_PATH}/{self.id}"
        return model.model_construct(
            status=state.status,
            id=self.id,
            action=self.action_path,
            href=href,
            timeStarted=state.started,
            timeRequested=state.requested,
            timeCompleted=state.ended,
            input=self.input,
            output=state.output,
            log=[LogRecordModel.model_validate(record) for record in self.log],
            links=[Link(rel="self", href=href), Link(rel="output", href=f"{href}/output")],
            error=state.problem,
            progress=self.progress,
            progressDetail=self.progress_detail,
            phase=state.phase,
        )


def _nowhere(_progress: Progress) -> None:
    """Publish nothing: a run without a manager has no subscribers."""


_NO_PROGRESS = ProgressMeter(_nowhere)
"""Stands for the meter of every run that has ended and has reported nothing."""


def _shared_if_empty(input: BaseModel) -> BaseModel:
    """Return one input for all runs that were given one without a field: it cannot be changed."""
    model = type(input)
    if model.model_fields or input.__dict__ or input.model_extra or input.__pydantic_private__:
        return input
    try:
        return _empty_inputs.setdefault(model, input)
    except TypeError:
        return input  # a model with slots of its own, to which nobody can refer weakly


def _input_json(input: BaseModel) -> bytes:
    """Write the input once; one that has no JSON form is described instead."""
    try:
        json = to_json(input.model_dump(mode="json", by_alias=True), inf_nan_mode="strings")
        return _EMPTY_JSON if json == _EMPTY_JSON else json
    except Exception as error:  # noqa: BLE001 - a user's serialiser may raise anything
        return to_json({"unserialisable": well_formed(describe_exception(error))})
