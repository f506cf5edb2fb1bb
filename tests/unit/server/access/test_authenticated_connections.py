"""Open connections are checked again and again, whatever fails meanwhile."""

from __future__ import annotations

import asyncio
from itertools import chain, repeat

import pytest

from labthings_fastapi.security.roles import Actor
from labthings_fastapi.server.access.authenticated_connections import (
    REASON,
    AuthenticatedConnection,
    AuthenticatedConnections,
    CredentialRevokedError,
)

GOODBYE = {"type": "websocket.close", "code": 1008, "reason": REASON}


class Wire:
    """A fake server: keeps sent messages, and provides those of a client."""

    def __init__(self):
        self.sent = []
        self.coming = asyncio.Queue()

    async def send(self, message):
        self.sent.append(message)

    def connection(self, name="Ada", kind="websocket"):
        return AuthenticatedConnection(Actor(name, "operator"), kind, self.coming.get, self.send)


class Register:
    """Has the valid tokens; reading them may fail at first."""

    def __init__(self, failures=0):
        self.revoked = set()
        self.failures = failures
        self.sound = asyncio.Event()

    async def refresh(self):
        if self.failures:
            self.failures -= 1
            raise RuntimeError("can't start new thread")
        self.sound.set()

    def is_valid(self, actor):
        return actor.name not in self.revoked

    def connections(self, seconds=0.0):
        return AuthenticatedConnections(self.refresh, self.is_valid, seconds)


async def refused(connection):
    await asyncio.wait_for(connection.over.wait(), 30)


def test_a_connection_that_begins_as_the_last_one_ends_is_checked_too():
    async def replace_connection():
        register, wire = Register(), Wire()
        connections = register.connections()
        first, second = wire.connection("Ada"), wire.connection("Bob")
        connections.begin(first)
        await asyncio.sleep(0)
        connections.end(first)
        connections.begin(second)
        await asyncio.sleep(0)
        register.revoked.add("Bob")
        await refused(second)
        assert not first.over.is_set()
        connections.end(second)

    asyncio.run(replace_connection())


def test_nothing_is_checked_without_connections():
    async def come_and_go():
        connections, wire = Register().connections(), Wire()
        for _ in range(3):
            connection = wire.connection()
            connections.begin(connection)
            connections.end(connection)
        await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(come_and_go()) == set()


def test_checks_go_on_after_credentials_cannot_be_read(caplog):
    async def watch():
        register, wire = Register(failures=3), Wire()
        connections, connection = register.connections(), wire.connection()
        connections.begin(connection)
        await asyncio.wait_for(register.sound.wait(), 30)
        register.revoked.add("Ada")
        await refused(connection)
        connections.end(connection)

    asyncio.run(watch())
    assert len(caplog.records) == 3
    assert "can't start new thread" in caplog.text
    assert "The next check is in" in caplog.text


def test_tokens_expire_also_while_they_cannot_be_read_again(caplog):
    async def watch():
        register, wire = Register(failures=10**9), Wire()
        connections, connection = register.connections(), wire.connection()
        register.revoked.add("Ada")
        connections.begin(connection)
        await refused(connection)
        connections.end(connection)

    asyncio.run(watch())
    assert caplog.records


def test_checks_go_on_after_an_unexpected_error(caplog):
    async def watch():
        register, wire = Register(), Wire()
        answers = chain([TypeError("no credential")], repeat(False))

        def is_valid(_actor):
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        connections, connection = (
            AuthenticatedConnections(register.refresh, is_valid, 0.0),
            wire.connection(),
        )
        connections.begin(connection)
        await refused(connection)
        connections.end(connection)

    asyncio.run(watch())
    assert [record.exc_info[0] for record in caplog.records] == [TypeError]


def test_one_connection_may_be_checked_between_two_rounds():
    async def look():
        register, wire = Register(), Wire()
        connections, connection = register.connections(seconds=3600), wire.connection()
        connections.begin(connection)
        assert connections.still_holds(connection)
        register.revoked.add("Ada")
        assert not connections.still_holds(connection)
        assert await connection.receive() == {**GOODBYE, "type": "websocket.disconnect"}
        assert wire.sent == [GOODBYE]
        connections.end(connection)

    asyncio.run(look())


def test_a_socket_that_only_sends_gets_the_reason_for_its_end_once():
    async def send_all_the_time():
        wire = Wire()
        connection = wire.connection()
        await connection.send({"type": "websocket.accept"})
        await connection.send({"type": "websocket.send", "text": "1"})
        connection.over.set()
        with pytest.raises(CredentialRevokedError):
            await connection.send({"type": "websocket.send", "text": "2"})
        await connection.finish()
        await connection.finish()
        return wire.sent[2:]

    assert asyncio.run(send_all_the_time()) == [GOODBYE]


@pytest.mark.parametrize("last", ["client", "app", "goodbye"])
def test_a_socket_that_has_ended_gets_no_message(last):
    async def end():
        wire = Wire()
        connection = wire.connection()
        await connection.send({"type": "websocket.accept"})
        if last == "client":
            await wire.coming.put({"type": "websocket.disconnect", "code": 1000})
            await connection.receive()
        elif last == "app":
            await connection.send({"type": "websocket.close", "code": 1000})
        connection.over.set()
        if last == "goodbye":
            await connection.receive()
        before = len(wire.sent)
        await connection.finish()
        return wire.sent[before:]

    assert asyncio.run(end()) == []


def test_an_answer_that_is_cut_short_is_ended():
    async def cut():
        wire = Wire()
        connection = wire.connection(kind="http")
        await connection.send({"type": "http.response.start", "status": 200, "headers": []})
        await connection.send({"type": "http.response.body", "body": b"1", "more_body": True})
        connection.over.set()
        assert await connection.receive() == {"type": "http.disconnect"}
        await connection.finish()
        return wire.sent[2:]

    assert asyncio.run(cut()) == [{"type": "http.response.body", "body": b""}]
