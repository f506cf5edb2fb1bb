"""One run, and how to stop it: in W3C words at its action, in LabThings words at the server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from labthings_fastapi.actions.recorded_invocation import find_invocation
from labthings_fastapi.actions.rendering import InvocationUrls, action_status, invocation_json
from labthings_fastapi.actions.routes import honour_prefer
from labthings_fastapi.bindings.interaction.failures import InvalidMembers
from labthings_fastapi.exceptions import InvocationFinishedError, InvocationNotFoundError

from .property_resources import NO_METHODS

if TYPE_CHECKING:
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.actions.protocols import KnownInvocation
    from labthings_fastapi.journal.record import InvocationRecord

    from .request_response import HttpResponse

_ID = TypeAdapter(UUID)


class _InvocationResource(ABC):
    """Shows a run and stops it; used on the server's event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, what: str, manager: ActionManager, prefix: str) -> None:
        self.what = what
        self.handlers = {"GET": self.get, "DELETE": self.delete}
        self._manager = manager
        self._prefix = prefix

    @abstractmethod
    async def _run(self, exchange: HttpResponse) -> KnownInvocation:
        """Return the run that a request is about."""

    @staticmethod
    @abstractmethod
    def _written(record: InvocationRecord, urls: InvocationUrls) -> bytes:
        """Write it in the words of this resource."""

    async def get(self, exchange: HttpResponse) -> None:
        """Show a run; with `Prefer: wait=N`, wait for its end first."""
        invocation = await self._run(exchange)
        headers = await honour_prefer(
            invocation, exchange.joined(b"prefer"), invocation.response_timeout
        )
        place = InvocationUrls(exchange.origin, self._prefix)
        await exchange.reply(
            200, self._written(invocation.snapshot(log=True), place), headers=headers
        )

    async def delete(self, exchange: HttpResponse) -> None:
        """Ask a run to stop; it does so at its next cancellation point."""
        invocation = await self._run(exchange)
        if not invocation.cancel():
            raise InvocationFinishedError(invocation.id, invocation.snapshot().status.value)
        await exchange.reply(204)


class ActionInvocationResource(_InvocationResource):
    """`/{thing}/{action}/{id}`: queryaction and cancelaction."""

    def __init__(self, action: str, manager: ActionManager, prefix: str) -> None:
        """Serve the runs of one action, which `action` names for people."""
        super().__init__(f"A run of {action[0].lower()}{action[1:]}", manager, prefix)

    async def _run(self, exchange: HttpResponse) -> KnownInvocation:
        path, _, text = exchange.path.rpartition("/")
        try:
            id = UUID(text)
        except ValueError as error:
            raise InvocationNotFoundError(text) from error
        invocation = await find_invocation(self._manager, id, self._prefix)
        if invocation.snapshot().action_path != path:
            raise InvocationNotFoundError(invocation.id)
        return invocation

    _written = staticmethod(action_status)


class InvocationResource(_InvocationResource):
    """`/action_invocations/{id}`.

    The FastAPI routes that `attach_to_app` adds to any app say the same. Here they are for
    `url_for` and the OpenAPI document, and would cost half of what it takes to stop a motor.
    """

    def __init__(self, manager: ActionManager, prefix: str) -> None:
        """Serve the runs of one manager."""
        super().__init__("The run", manager, prefix)

    async def _run(self, exchange: HttpResponse) -> KnownInvocation:
        text = exchange.path.rpartition("/")[2]
        try:
            id = _ID.validate_python(text)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            raise InvalidMembers([{**item, "loc": ("path", "id")} for item in found]) from error
        return await find_invocation(self._manager, id, self._prefix)

    _written = staticmethod(invocation_json)
