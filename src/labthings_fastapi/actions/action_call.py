"""Call an action's function; whatever it returns or raises, the result is an `Ending`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from labthings_fastapi.concurrency.things_loop import loop_of
from labthings_fastapi.exceptions import (
    InvalidReturnValueError,
    InvocationCancelledError,
    InvocationError,
    describe_exception,
)
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.outputs.links import LINK_START
from labthings_fastapi.problems import message_problem, problem_from
from labthings_fastapi.schemas.invalid_values import shown
from labthings_fastapi.schemas.values import ValueSchema
from labthings_fastapi.thing_description.paths import name_of

from .array_outputs import with_input_links
from .context import raise_if_cancelled
from .live_invocation import Ending, LiveInvocation
from .logs import thing_log
from .protocols import Host, Runnable
from .results import BlobsOfInvocation
from .turns import TURN, Turn, emergency

SAFE_STATE_PATIENCE = 5.0
"""How long (s) `safe_state` of an exclusive Thing waits for others that use the Thing."""


def cancelled_ending(error: BaseException | None = None) -> Ending:
    error = error or InvocationCancelledError("The invocation was cancelled before it began.")
    if not str(error):
        error = InvocationCancelledError("The run was cancelled.")
    problem = problem_from(error).members()
    return Ending(InvocationStatus.CANCELLED, problem=problem, exception=error)


def timed_out_ending(name: str, timeout: float, error: BaseException) -> Ending:
    problem = message_problem(
        "timed-out",
        "The invocation took too long",
        500,
        f"{name} was cancelled by the server: it had run for {timeout:g} s, the longest time that "
        "its `timeout` allows.",
    )
    return Ending(InvocationStatus.CANCELLED, problem=problem.members(), exception=error)


def failed_ending(error: BaseException) -> Ending:
    """Return the ending of an invocation that raised `error`; its traceback is dropped."""
    try:
        problem = problem_from(error, exception=type(error).__name__)
        release_tracebacks(error)
    except BaseException:  # noqa: BLE001 - a hostile exception may defend each of its attributes
        problem = message_problem(
            "failure", "The code of the Thing failed", 500, "The exception cannot be read."
        )
    return Ending(InvocationStatus.ERROR, problem=problem.members(), exception=error)


def release_tracebacks(error: BaseException) -> None:
    """Drop the tracebacks of an exception and of its causes: they keep local variables alive."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        # Not by assignment, which an exception that is a frozen dataclass refuses.
        BaseException.with_traceback(found, None)
        waiting += [found.__cause__, found.__context__]
        if isinstance(found, BaseExceptionGroup):
            waiting += found.exceptions


_KEPT_SETTINGS = "_kept_settings"  # an attribute of a Thing whose settings are in a file

# Of outputs that are neither coroutines nor generators.
_VALUE_TYPES = frozenset({bool, int, float, str, list, dict, tuple})


def _is_cancel(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.split(InvocationCancelledError)[1] is None
    return isinstance(error, InvocationCancelledError)


class ActionCall:
    """One call of an action's function; used by the invocation's own thread only."""

    def __init__(self, action: Runnable, thing: Host, live: LiveInvocation) -> None:
        self._action = action
        self._thing = thing
        self._live = live
        self._name = f"{name_of(thing)}.{action.name}"
        name = f"{name_of(thing)}-{action.name}"
        self._blobs = BlobsOfInvocation(live.id, name, live.outputs)
        self._json_context = {"blobs": self._blobs}

    def keep_blobs_of(self, input: BaseModel) -> None:
        """Keep blobs and large arrays of the input with the invocation: its record links them."""
        if LINK_START in self._live.record.input:
            members = input.model_dump(by_alias=True, context=self._json_context)
            with_input_links(members, self._live.id, self._blobs.keep_array)

    def ending(self, arguments: dict[str, Any]) -> Ending:
        live = self._live
        live.enter_thing(self._thing)
        used: list[Any] = []
        try:
            turn: Turn | None = self._thing.__dict__.get(TURN)
            if self._action.stop:
                with emergency():
                    ending = self._completed(arguments)
            elif turn is None:
                ending = self._completed(arguments)
            else:
                ending = turn.run(self._completed, arguments)
        except BaseException as error:  # noqa: BLE001 - nothing may leave it without an end
            ending = self._failed(error)
            used = live.take_things()
            make_safe(self._action, self._thing, used)
        finally:
            # What the code changed in place survives a kill as the end of the invocation does.
            for thing in (*used, *live.take_things()):
                kept = thing.__dict__.get(_KEPT_SETTINGS)
                if kept is not None and kept.can_change_in_place:
                    _save_changes(thing, kept)
            live.come_to_rest()
        live.blob_bytes = self._blobs.in_memory
        if live.parts()[1] is not None:
            ending = self._with_results(ending)
        if live.record.cancel_requested and ending.status is InvocationStatus.COMPLETED:
            text = "%s was asked to stop, but its code completed all the same."
            thing_log(name_of(self._thing)).info(text, self._name)
        return ending

    def _with_results(self, ending: Ending) -> Ending:
        """Say what is no longer kept; without a complete output, the values are the output."""
        results = self._live.results
        if results.dropped:
            text = "%s yielded %d values. The newest %d are kept; the %d before them are not."
            kept = results.count - results.dropped
            logger = thing_log(name_of(self._thing))
            logger.warning(text, self._name, results.count, kept, results.dropped)
        if ending.status is InvocationStatus.COMPLETED:
            return ending
        return ending._replace(output=results.values(), output_json=results.json(), partial=True)

    def _failed(self, error: BaseException) -> Ending:
        logger = thing_log(name_of(self._thing))
        if _is_cancel(error):
            release_tracebacks(error)
            if (timeout := self._live.timed_out_after) is not None:
                logger.warning("%s was cancelled: it ran longer than %g s.", self._name, timeout)
                return timed_out_ending(self._name, timeout, error)
            logger.info("%s was cancelled.", self._name)
            return cancelled_ending(error)
        exc_info = None if isinstance(error, InvocationError) else error
        logger.error("%s failed: %s", self._name, describe_exception(error), exc_info=exc_info)
        return failed_ending(error)

    def _completed(self, arguments: dict[str, Any]) -> Ending:
        value: Any = self._action.func(self._thing, **arguments)
        if value is None or type(value) in _VALUE_TYPES:  # the usual case
            return self._returned(value)
        collected = False
        if inspect.iscoroutine(value):
            value = self._wait_for(value)
        elif inspect.isgenerator(value):
            value, collected = self._drain(value)
        elif inspect.isasyncgen(value):
            self._wait_for(self._drain_async(value))
            collected = True
        if collected:
            results = self._live.results
            return Ending(InvocationStatus.COMPLETED, results.values(), results.json())
        return self._returned(value)

    def _returned(self, value: Any) -> Ending:
        output = self._checked(self._action.output_schema, value, "returned")
        json = self._action.output_schema.to_json(output, self._json_context)
        return Ending(InvocationStatus.COMPLETED, output, json)

    def _checked(self, schema: ValueSchema[Any], value: Any, verb: str) -> Any:
        try:
            return schema.validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InvalidReturnValueError(
                f"{self._name} {verb} a value of type {type(value).__name__!r} that breaks its "
                f"type hint{' at ' + place if place else ''}: {first['msg']}, and it is "
                f"{shown(first['input'])}"
            ) from error

    def _keep(self, value: Any) -> None:
        schema = self._action.result_schema or self._action.output_schema
        value = self._checked(schema, value, "yielded")
        self._live.results.add(value, schema.to_json(value, self._json_context))

    def _drain(self, generator: Generator[Any, Any, Any]) -> tuple[Any, bool]:
        """Take every value; the cancel request is raised at the yield, so that `finally` runs."""
        try:
            value = next(generator)
            while True:
                self._keep(value)
                try:
                    raise_if_cancelled()
                except InvocationCancelledError as cancelled:
                    value = generator.throw(cancelled)
                else:
                    value = next(generator)
        except StopIteration as stop:
            return stop.value, self._action.collects_results
        finally:
            generator.close()

    async def _drain_async(self, generator: AsyncGenerator[Any, Any]) -> None:
        try:
            value = await anext(generator)
            while True:
                self._keep(value)
                try:
                    # Here a cancel comes in, also if the generator itself never waits.
                    await asyncio.sleep(0)
                except asyncio.CancelledError as cancelled:
                    value = await generator.athrow(cancelled)
                else:
                    value = await anext(generator)
        except StopAsyncIteration:
            return
        finally:
            await generator.aclose()

    def _wait_for(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the Thing's loop; a cancel of the run cancels its task."""
        task = loop_of(self._thing._thing_server_interface, name_of(self._thing)).submit(coroutine)
        was_cancelled = False

        def take() -> bool:
            # The loop may call this twice for one request; the second must not stop the clean-up.
            nonlocal was_cancelled
            taken = self._live.cancel.take()
            was_cancelled = was_cancelled or taken
            return taken

        forget = self._live.cancel.listen(lambda: task.cancel(when=take))
        try:
            return task.result()
        except asyncio.CancelledError:
            if was_cancelled:
                raise InvocationCancelledError("The run was cancelled.") from None
            raise
        finally:
            forget()


def _save_changes(thing: Any, kept: Any) -> None:
    try:
        kept.notice_changes(thing)
    except BaseException:  # noqa: BLE001 - nothing may leave the invocation without an end
        thing_log(name_of(thing)).exception("Settings that changed in place were not looked at.")


def make_safe(action: Runnable, thing: Host, things: Iterable[Any]) -> None:
    """Call the action's `on_cancel`, then `safe_state` of these Things, the latest entered first.

    Called in the invocation's thread, after a cancel, an error or a shutdown. Failures are logged.
    """
    if action.on_cancel is not None:
        _call_safely(thing, getattr(thing, action.on_cancel, None), action.on_cancel)
    for entered in things:
        if hasattr(entered, "safe_state"):
            _call_safely(entered, entered.safe_state, "safe_state")


def _call_safely(thing: Any, method: Callable[[], Any] | None, name: str) -> None:
    logger = thing_log(name_of(thing))
    try:
        if method is None:
            raise AttributeError(f"{type(thing).__name__} has no method {name!r}")
        turn: Turn | None = getattr(thing, "__dict__", {}).get(TURN)
        if turn is None or not turn.exclusive:
            result = method()
        else:
            result = turn.run_anyway(name, SAFE_STATE_PATIENCE, method)
        if inspect.iscoroutine(result):
            loop_of(thing._thing_server_interface, name_of(thing)).submit(result).result()
    except BaseException as error:
        text = "%s of Thing %r failed: the hardware may not be at rest. %s"
        logger.error(text, name, name_of(thing), describe_exception(error), exc_info=error)
