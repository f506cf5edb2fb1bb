"""One open socket: reading, writing and closing."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_description.websocket_forms import SUBPROTOCOL

from .dispatcher import Dispatcher
from .frame_views import FrameViews
from .subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from labthings_fastapi.bindings.interaction.things import ThingInteraction

    from .socket_state import SocketState

LOGGER = own_logger("websocket")
MAX_RESPONSES = 256
MAX_CHARACTERS = 1024 * 1024
"""The bounds of the responses that wait for a client."""
MAX_FRAME_BYTES = 1024 * 1024
"""The largest message that a client may send."""
TOO_BIG, GOING_AWAY, INTERNAL_ERROR = 1009, 1001, 1011
"""Close codes of RFC 6455, section 7.4.1."""


class Outbox:
    """Responses in order; used on the server's event loop.

    While it is full, no more requests are read from the socket, so a client that does not receive
    its responses delays only itself.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        """Call `wake` for each new response."""
        self._wake = wake
        self._responses: deque[str] = deque()
        self._characters = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    def __bool__(self) -> bool:
        return bool(self._responses)

    def put(self, text: str) -> None:
        """Add a response; never waits."""
        self._responses.append(text)
        self._characters += len(text)
        if self._is_full():
            self._has_room.clear()
        self._wake()

    def take(self) -> str:
        """Remove and return the oldest response."""
        text = self._responses.popleft()
        self._characters -= len(text)
        if not self._is_full():
            self._has_room.set()
        return text

    def _is_full(self) -> bool:
        return len(self._responses) >= MAX_RESPONSES or self._characters >= MAX_CHARACTERS

    async def wait_for_room(self) -> None:
        """Wait while the outbox is full."""
        await self._has_room.wait()


class SocketConnection:
    """The socket of one client; used on the server's event loop.

    One task reads and one task writes. When the socket closes, its subscriptions end and its reads
    are cancelled; changes are completed, and invocations continue.
    """

    def __init__(
        self,
        state: SocketState,
        thing: ThingInteraction | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Serve one ASGI connection to the socket of `thing`, or of the server for None."""
        self._receive = receive
        self._send = send
        self._subprotocol = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
        self._has_output = ThreadsafeEvent()
        self._outbox = Outbox(self._has_output.set)
        self._subscriptions = Subscriptions(state.broker, self._has_output.set)
        self._views = FrameViews(self._has_output.set)
        self._dispatcher = Dispatcher(
            *(state, thing, scope, self._outbox.put, self._subscriptions, self._views)
        )

    async def run(self) -> None:
        """Serve the socket until the client disconnects or the server stops."""
        try:
            await self._receive()  # `websocket.connect`
            await self._send({"type": "websocket.accept", "subprotocol": self._subprotocol})
        except BaseException:  # the client disconnected, or the server cancelled this task
            self._subscriptions.close()
            raise
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        code: int | None = None
        try:
            done, _ = await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            code = max((_close_code(task) or 0 for task in done), default=0) or None
        finally:
            self._subscriptions.close()
            self._views.close()
            self._dispatcher.close()
            reader.cancel()
            writer.cancel()
            # `wait`, because `gather` would hide from anyio that it cancelled this task.
            ended, _ = await asyncio.wait({reader, writer})
            for task in ended:
                _close_code(task)  # retrieves the exception, which asyncio would report otherwise
        if code is not None:
            await self._close(code)

    async def _close(self, code: int) -> None:
        reason = "The server is stopping." if code == GOING_AWAY else ""
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            return  # the client has disconnected; ASGI servers raise different errors

    async def _read(self) -> int | None:
        while True:
            await self._outbox.wait_for_room()
            # Let the new requests run. Those that wait for nothing end in this step, so that many
            # of them do not reach the limit of the dispatcher.
            await asyncio.sleep(0)
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return None
            text: str | None = event.get("text")
            if text is not None and len(text) > MAX_FRAME_BYTES:
                return TOO_BIG
            await self._dispatcher.dispatch(text)

    async def _write(self) -> int | None:
        while True:
            is_stopped = self._subscriptions.is_stopped
            await self._send_responses()
            has_messages = self._subscriptions.take()
            while True:
                await self._send_responses()
                entry = self._subscriptions.next()
                if entry is None:
                    break
                message, subscription = entry
                await self._send_text(subscription.encode(message))
            for frame in self._views.take():
                await self._send({"type": "websocket.send", "bytes": frame})
            if not is_stopped:
                # Anything that was added since `take` has set the event, so this returns at once.
                await self._has_output.wait()
            elif not has_messages and not self._outbox:
                return GOING_AWAY

    async def _send_responses(self) -> None:
        while self._outbox:
            await self._send_text(self._outbox.take())

    async def _send_text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})


def _close_code(task: asyncio.Task[int | None]) -> int | None:
    """Return the close code that a task returned; None if the client has disconnected."""
    if task.cancelled():
        return None
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, (OSError, RuntimeError)):
        return None  # ASGI servers raise these when the client has disconnected
    LOGGER.error("A WebSocket connection failed.", exc_info=error)
    return INTERNAL_ERROR
