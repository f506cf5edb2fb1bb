"""One invocation below its action, in the words of the W3C: queryaction and cancelaction.

The same invocation in LabThings words is at `/action_invocations/{id}`: see `actions/routes.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from labthings_fastapi.actions.array_outputs import shown
from labthings_fastapi.actions.recorded_invocation import find_invocation
from labthings_fastapi.actions.rendering import InvocationUrls, action_status
from labthings_fastapi.actions.routes import honour_prefer
from labthings_fastapi.exceptions import InvocationFinishedError, InvocationNotFoundError

from .router import NO_METHODS

if TYPE_CHECKING:
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.actions.recorded_invocation import KnownInvocation

    from .request_response import HttpResponse


class ActionInvocationResource:
    """`/{thing}/{action}/{id}`; used on the server's event loop."""

    fallthrough_methods = NO_METHODS

    def __init__(self, action_label: str, manager: ActionManager, prefix: str) -> None:
        """Serve the invocations of one action, which is called `action_label` in messages."""
        self.label = f"An invocation of {action_label[0].lower()}{action_label[1:]}"
        self.handlers = {"GET": self.get, "DELETE": self.delete}
        self._manager = manager
        self._prefix = prefix

    async def get(self, response: HttpResponse) -> None:
        """Send the status; with `Prefer: wait=N`, wait for the end first."""
        invocation = await self._find(response)
        headers = await honour_prefer(
            invocation, response.joined_header(b"prefer"), invocation.response_timeout
        )
        urls = InvocationUrls(response.base_url, self._prefix)
        record = await shown(invocation.snapshot(log=True), response.joined_header(b"accept"))
        await response.send(200, action_status(record, urls), headers=headers)

    async def delete(self, response: HttpResponse) -> None:
        """Request cancellation; the invocation stops at its next cancellation point."""
        invocation = await self._find(response)
        if not invocation.cancel():
            raise InvocationFinishedError(invocation.id, invocation.snapshot().status.value)
        await response.send(204)

    async def _find(self, response: HttpResponse) -> KnownInvocation:
        path, _, text = response.path.rpartition("/")
        try:
            id = UUID(text)
        except ValueError as error:
            raise InvocationNotFoundError(text) from error
        invocation = await find_invocation(self._manager, id, self._prefix)
        if invocation.snapshot().action_path != path:
            raise InvocationNotFoundError(invocation.id)
        return invocation
