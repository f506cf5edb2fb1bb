"""Starting invocations of an action, and their outputs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from labthings_fastapi.actions.array_outputs import shown_output
from labthings_fastapi.actions.rendering import action_status
from labthings_fastapi.actions.routes import render_each, wait_for_end
from labthings_fastapi.concurrency.threadsafe_event import wait_for_future
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.problems import Problem, message_problem
from labthings_fastapi.schemas.json_text import LARGE
from labthings_fastapi.thing_description.paths import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from labthings_fastapi.actions.invocation import Invocation
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.actions.recorded_invocation import KnownInvocation
    from labthings_fastapi.actions.rendering import InvocationUrls
    from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.schemas.array_files import ArrayFile
    from labthings_fastapi.thing import Thing

T = TypeVar("T")


class ActionInteraction:
    """One action of one Thing; its coroutines are for the server's event loop."""

    def __init__(
        self,
        thing: Thing,
        descriptor: ActionDescriptor[Any, Any, Any],
        executor: BoundedExecutor,
        manager: ActionManager,
    ) -> None:
        """Use the Thing's executor for code of its types; invocations have their own threads."""
        self.thing = thing
        self.descriptor = descriptor
        self._executor = executor
        self._manager = manager
        # Starting one may wait a moment for the global lock.
        waits = descriptor.use_global_lock is not False and not descriptor.stop
        self._is_quick = descriptor.quick_input and not (
            waits and thing._thing_server_interface.global_lock is not None
        )
        self._opening = thing._thing_server_interface.opening
        self.label = f"Action {descriptor.name!r} of Thing {name_of(thing)!r}"

    async def invoke(self, text: bytes | ArrayFile, **options: Any) -> Invocation:
        """Start an invocation with the input in `text`; return it when its record is committed.

        An emergency stop does not wait for the journal. `options` are further arguments of
        `ActionManager.invoke_action`.

        Raises:
            pydantic.ValidationError: the input is not valid, and nothing has begun.
            ThingNotOpenError: the Thing's hardware is not open.
        """
        action = self.descriptor
        if self._is_quick and len(text) <= LARGE:
            invocation = self._start(text, options)
        else:
            invocation = await self._executor.run(self._start, text, options)
        commit = invocation.commit
        if commit is not None and not action.stop:
            await wait_for_future(commit)
        return invocation

    async def check(self, text: bytes | ArrayFile) -> BaseModel:
        """Return the input in `text`, or raise `pydantic.ValidationError`."""
        check = self.descriptor.input_schema.validate_wire
        if len(text) > LARGE:
            return await self._executor.run(check, text)
        return await self._call(check, text)

    @cached_property
    def file_types(self) -> tuple[str, ...]:
        """The media types, besides JSON, in which the output can be sent: it has arrays."""
        return self.descriptor.output_schema.file_types

    async def output_file(self, invocation: KnownInvocation, media_type: str) -> list[Any] | None:
        """Wait for the end; return the parts of a file with the output, or None without one.

        The data of the arrays are not copied.
        """
        await wait_for_end(invocation, None)
        completed = invocation.snapshot().status is InvocationStatus.COMPLETED
        if not completed or invocation.output is None:
            return None
        write = self.descriptor.output_schema.as_file
        return await self._executor.run(write, invocation.output, media_type)

    async def invoke_checked(self, options: dict[str, Any]) -> Invocation:
        """Start an invocation whose input, one of the options, has been checked; do not wait."""
        return await self._call(self._invoke, options)

    async def _call(self, function: Callable[..., T], argument: Any) -> T:
        """Call a function that checks the input, or writes it for the record."""
        if self._is_quick:
            return function(argument)
        return await self._executor.run(function, argument)

    def _start(self, text: bytes | ArrayFile, options: dict[str, Any]) -> Invocation:
        if self._opening.refusal is not None:
            self._opening.require()
        checked = self.descriptor.input_schema.validate_wire(text)
        return self._manager.invoke_action(self.descriptor, self.thing, input=checked, **options)

    def _invoke(self, options: dict[str, Any]) -> Invocation:
        self._opening.require()
        return self._manager.invoke_action(self.descriptor, self.thing, **options)


async def output_of(invocation: KnownInvocation, urls: InvocationUrls) -> bytes | Problem:
    """Wait for the end; return the output as JSON, or the problem why there is none."""
    await wait_for_end(invocation, None)
    record = invocation.snapshot()
    if record.status is InvocationStatus.COMPLETED:
        return urls.links(await shown_output(record.output) or b"null")
    href = urls.of_action_invocation(record)
    error = record.error or {}
    detail = error.get("detail", "The run ended without an output.")
    cancelled = record.status is InvocationStatus.CANCELLED
    if error and record.time_started is None and not cancelled:
        # Refused before it began: the request failed, not the action.
        return Problem(
            error["status"], error["type"], error["title"], error["detail"], extra={"href": href}
        )
    return message_problem(
        "cancelled" if cancelled else "action-failed",
        "The run was cancelled" if cancelled else "The action failed",
        500,
        detail,
        href=href,
    )


async def invocations_by_action(
    thing: Thing, manager: ActionManager, place: InvocationUrls
) -> bytes:
    """Render the invocations of a Thing in short, by action and newest first (queryallactions)."""
    invocations = manager.newest(lambda invocation: invocation.belongs_to(thing=thing))
    invocations.reverse()
    by_action: dict[str, list[bytes]] = {name: [] for name in thing.action_descriptors}
    rendered = await render_each(
        invocations, lambda record: action_status(record, place, short=True)
    )
    for invocation, text in zip(invocations, rendered, strict=True):
        by_action[invocation.record.action].append(text)
    members = [
        b'"%b":[%b]' % (name.encode(), b",".join(listed)) for name, listed in by_action.items()
    ]
    return b"{" + b",".join(members) + b"}"
