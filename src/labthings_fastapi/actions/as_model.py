"""One invocation as an instance of a pydantic model."""

from __future__ import annotations

from typing import Any

from .invocation_model import ACTION_INVOCATIONS_PATH, InvocationModel, Link, LogRecordModel
from .protocols import UrlSource


def as_model(invocation: Any, request: UrlSource | None) -> InvocationModel:
    """Return an `Invocation` as an instance of its action's own invocation model; any thread."""
    record = invocation.record
    action = invocation.action_ref()
    # An invocation that outlives its action must not break a listing.
    model = InvocationModel if action is None else action.invocation_model
    href = f"{ACTION_INVOCATIONS_PATH}/{record.id}"
    if request is not None:
        href = str(request.url_for("action_invocation", id=record.id))
    found: InvocationModel = model.model_construct(
        status=record.status,
        id=record.id,
        action=record.action_path,
        href=href,
        timeStarted=record.time_started,
        timeRequested=record.time_requested,
        timeCompleted=record.time_ended,
        input=invocation.input,
        output=invocation.output,
        log=[LogRecordModel.model_validate(each) for each in invocation.log],
        links=[Link(rel="self", href=href), Link(rel="output", href=f"{href}/output")],
        error=record.error,
        progress=invocation.progress,
        progressDetail=invocation.progress_detail,
        phase=record.phase,
        queuePosition=record.queue_position,
        cancelRequested=record.cancel_requested,
        partial=record.partial,
        logDropped=record.log_dropped,
        resultsDropped=record.results_dropped,
    )
    return found
