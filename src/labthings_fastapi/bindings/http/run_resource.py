"""`/action_invocations/{id}` served like the Things: its clients wait for runs, and stop them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from labthings_fastapi.actions.recorded_run import find_run
from labthings_fastapi.actions.rendering import Place, in_full
from labthings_fastapi.actions.routes import honour_prefer
from labthings_fastapi.bindings.interaction.failures import InvalidMembers
from labthings_fastapi.exceptions import InvocationFinishedError

from .property_resources import NO_METHODS

if TYPE_CHECKING:
    from labthings_fastapi.actions.invocation import Invocation
    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.actions.recorded_run import RecordedRun

    from .exchange import Exchange

_ID = TypeAdapter(UUID)


class RunResource:
    """One run in LabThings words; used on the server's event loop.

    The FastAPI routes that `attach_to_app` adds to any app say the same. Here they are for
    `url_for` and the OpenAPI document, and would cost half of what it takes to stop a motor.
    """

    passes_on = NO_METHODS
    what = "The run"

    def __init__(self, manager: ActionManager, prefix: str) -> None:
        """Serve the runs of one manager."""
        self._manager = manager
        self._prefix = prefix
        self.handlers = {"GET": self.get, "DELETE": self.delete}

    async def get(self, exchange: Exchange) -> None:
        """Show all of a run; with `Prefer: wait=N`, wait for its end first."""
        run = await self._run(exchange)
        headers = await honour_prefer(run, exchange.joined(b"prefer"), run.response_timeout)
        place = Place(exchange.origin, self._prefix)
        await exchange.reply(200, in_full(run, place), headers=headers)

    async def delete(self, exchange: Exchange) -> None:
        """Ask a run to stop; it does so at its next cancellation point."""
        run = await self._run(exchange)
        if not run.cancel():
            raise InvocationFinishedError(run.id, run.status.value)
        await exchange.reply(204)

    async def _run(self, exchange: Exchange) -> Invocation | RecordedRun:
        text = exchange.path.rpartition("/")[2]
        try:
            id = _ID.validate_python(text)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            raise InvalidMembers([{**item, "loc": ("path", "id")} for item in found]) from error
        return await find_run(self._manager, id, self._prefix)
