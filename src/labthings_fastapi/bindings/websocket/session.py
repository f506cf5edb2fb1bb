"""One open socket: what it is sent, and what it is answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from labthings_fastapi.bindings.interaction.failures import (
    is_expected,
    problem_of,
    with_traceback,
)
from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent
from labthings_fastapi.dependencies.server import shows_tracebacks
from labthings_fastapi.exceptions import (
    LabThingsError,
    RequestError,
    TooBusyError,
    UnsupportedMediaTypeError,
)
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_description.websocket_forms import SUBPROTOCOL

from .frames import MAX_FRAME_BYTES, read_frame, text_in
from .legacy_messages import LABTHINGS_MESSAGES, LabThingsMessages, error_message
from .operations import Cost, named, operations
from .operations_on_things import Operations
from .outbox import Outbox
from .permission import Refused, audit, require_operator
from .requests import Request, check_ids, refusal
from .subscription_streams import SubscriptionStreams
from .subscriptions import Subscriptions

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from labthings_fastapi.bindings.interaction.things import ThingInteraction
    from labthings_fastapi.problems import Problem

    from .encoders import LabThingsWriter
    from .frames import Members
    from .operations import Operation
    from .socket_state import SocketState

LOGGER = own_logger("websocket")
MOST_OUTSTANDING = 64
"""How many requests of each cost may be in progress for one socket."""
TOO_BIG, GOING_AWAY, INTERNAL_ERROR = 1009, 1001, 1011
"""RFC 6455, section 7.4.1."""


class Session:
    """One client's socket; used on the server's event loop.

    One task reads and one writes. Each request has a task of its own, so that one that waits for a
    stuck driver holds up no other. When the socket goes, subscriptions end and reads are given up;
    changes are seen through, and runs go on.
    """

    def __init__(
        self,
        served: SocketState,
        writer: LabThingsWriter,
        thing: ThingInteraction | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Take an ASGI call; `thing` is whose socket it is, None for the server's."""
        self._served = served
        self._thing = thing
        self._scope = scope
        self._receive = receive
        self._send = send
        self._bell = ThreadsafeEvent()
        self._outbox = Outbox(self._bell.set)
        self._feeds = SubscriptionStreams(served.broker, self._bell.set)
        interacting = Operations(served, scope)
        self._operations = operations(interacting, Subscriptions(served, self._feeds, interacting))
        self._labthings = LabThingsMessages(served, self._feeds, writer)
        self._outstanding = dict.fromkeys(Cost, 0)
        self._given_up: set[asyncio.Task[None]] = set()  # when the socket goes
        self._speaks_protocol = SUBPROTOCOL in scope.get("subprotocols", ())

    async def run(self) -> None:
        """Serve the socket until the client leaves or the server stops."""
        try:
            await self._receive()  # `websocket.connect`
            chosen = SUBPROTOCOL if self._speaks_protocol else None
            await self._send({"type": "websocket.accept", "subprotocol": chosen})
        except BaseException:  # the client has gone, or may not be told more
            self._feeds.close()
            raise
        reading = asyncio.create_task(self._read())
        writing = asyncio.create_task(self._write())
        code: int | None = None
        try:
            done, _ = await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            code = max((_code_of(task) or 0 for task in done), default=0) or None
        finally:
            self._feeds.close()
            for task in [reading, writing, *self._given_up]:
                task.cancel()
            # Not `gather`, which would hide from anyio that it was anyio who cancelled this task.
            ended, _ = await asyncio.wait({reading, writing})
            for task in ended:
                _code_of(task)  # an error that nobody asks for would be reported as lost
        await self._close(code)

    async def _close(self, code: int | None) -> None:
        if code is None:
            return  # the client has gone
        reason = "The server is stopping." if code == GOING_AWAY else ""
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            return  # it has gone meanwhile, which servers say in different ways

    # --- what goes out --------------------------------------------------------------------

    async def _write(self) -> int | None:
        while True:
            stopped = self._feeds.stopped
            await self._send_answers()
            batch = self._feeds.take()
            for _, message, feed in batch:
                if self._outbox:
                    await self._send_answers()
                if feed.open:  # it may have been ended meanwhile
                    await self._send({"type": "websocket.send", "text": feed.write(message)})
            if not stopped:
                # Whatever came since it was taken has rung.
                await self._bell.wait()
            elif not batch and not self._outbox:
                return GOING_AWAY

    async def _send_answers(self) -> None:
        while self._outbox:
            await self._send({"type": "websocket.send", "text": self._outbox.take()})

    # --- what comes in --------------------------------------------------------------------

    async def _read(self) -> int | None:
        while True:
            await self._outbox.room()
            if max(self._outstanding.values()) >= MOST_OUTSTANDING:
                # Those that wait for nothing have not had their turn, if many came at once.
                await asyncio.sleep(0)
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return None
            text: str | None = event.get("text")
            if text is not None and len(text) > MAX_FRAME_BYTES:
                return TOO_BIG
            self._take(text)

    def _take(self, text: str | None) -> None:
        """Begin to answer one message; whatever is wrong with it costs only itself."""
        members: Members = {}
        try:
            if text is None:
                raise UnsupportedMediaTypeError(
                    "This is a binary message, which means nothing here: send JSON as text."
                )
            members = read_frame(text)
            check_ids(members)
            kind = text_in(members, "messageType")
            if kind == "request":
                self._begin(members)
            elif kind in LABTHINGS_MESSAGES:
                self._observe(members)
            else:
                raise RequestError(
                    f"There is no 'messageType' {kind[:80]!r} that a client may send; there are: "
                    f"request, {', '.join(LABTHINGS_MESSAGES)}."
                )
        except (LabThingsError, Refused) as error:
            self._refuse(members, error, "The message")

    def _subject(self, members: Members) -> tuple[ThingInteraction | None, str | None]:
        """Return the Thing that a message is about, and what the client calls it."""
        said = members.get("thingID", members.get("thing"))
        if said is None:
            used = self._thing
            return used, self._served.id_of(used.thing.name) if used is not None else None
        if not isinstance(said, str):
            raise RequestError("'thingID' must be text: the id, the name or the path of a Thing.")
        used = self._served.find(said)
        if self._thing is not None and used is not self._thing:
            raise RequestError(
                f"This is the socket of Thing {self._thing.thing.name!r}, and the message is about "
                f"{used.thing.name!r}: send it to that Thing's socket, or to the server's, "
                f"{self._served.prefix}/ws."
            )
        return used, said

    def _observe(self, members: Members) -> None:
        used, _ = self._subject(members)
        if used is None:
            raise RequestError(
                f"{members['messageType']!r} needs the member 'thing' on the server's socket."
            )
        self._served.require_started(used)
        for name in self._labthings.names(members):
            try:
                self._labthings.observe(used, members, name)
            except (LabThingsError, Refused) as error:
                self._refuse(members, error, f"Thing {used.thing.name!r}")

    def _begin(self, members: Members) -> None:
        name = text_in(members, "operation")
        operation = named(self._operations, name)
        used, label = self._subject(members)
        request = Request(name, members, used, label)
        if used is not None:
            self._served.require_started(used)
        cost = self._cost(operation, request)
        if self._outstanding[cost] >= MOST_OUTSTANDING:
            raise TooBusyError(
                f"{self._outstanding[cost]} requests of this socket wait for their answers, the "
                "most that one may have: wait for some of them."
            )
        self._outstanding[cost] += 1
        work = self._answer(operation, request, cost)
        if operation.changes:
            task = self._served.see_through(work)
        else:
            task = asyncio.create_task(work)
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)

    def _cost(self, operation: Operation, request: Request) -> Cost:
        """Say what a request waits for; an emergency stop never waits behind others."""
        if request.operation == "invokeaction" and request.used is not None:
            action = request.used.actions.get(str(request.members.get("name")))
            if action is not None and action.descriptor.stop:
                return Cost.OWN
        return operation.cost

    async def _answer(self, operation: Operation, request: Request, cost: Cost) -> None:
        try:
            if operation.changes:
                require_operator(self._scope, request.thing.thing.name)
            answer = await operation.handle(request)
            status = answer.status
            self._outbox.put(request.response(answer))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            what = request.used.what(request.members.get("name")) if request.used else "The server"
            status = self._refuse(dict(request.members), error, what).status
        finally:
            self._outstanding[cost] -= 1
        if operation.changes and request.used is not None:
            name = request.members.get("name")
            what = name if isinstance(name, str) else "properties"
            audit(self._scope, request.used.thing.name, what, request.operation, status)

    # --- what went wrong ------------------------------------------------------------------

    def _refuse(self, members: Members, error: Exception, what: str) -> Problem:
        """Answer with a problem, in the vocabulary of the message."""
        if isinstance(error, Refused):
            problem = error.problem.at(self._scope["path"])
        else:
            if not is_expected(error):
                LOGGER.error("%s: %s failed.", what, members.get("operation"), exc_info=error)
            problem = problem_of(error, what, self._scope["path"])
            if shows_tracebacks(self._scope):
                problem = with_traceback(problem, error)
        kind = members.get("messageType")
        speaks = kind == "request" or (self._speaks_protocol and kind not in LABTHINGS_MESSAGES)
        write = refusal if speaks else error_message
        self._outbox.put(write(members, problem.members()))
        return problem


def _code_of(task: asyncio.Task[int | None]) -> int | None:
    """Return the code with which a task of a socket wants it closed; None: the client has gone."""
    error = None if task.cancelled() else task.exception()
    if error is None:
        return None if task.cancelled() else task.result()
    if isinstance(error, (OSError, RuntimeError)):
        return None  # by which servers say that nobody is there to send to
    LOGGER.error("A socket failed.", exc_info=error)
    return INTERNAL_ERROR
