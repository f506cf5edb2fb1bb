"""How many lines refused requests leave in the log."""

from __future__ import annotations

import logging

import pytest

from labthings_fastapi.server.web.refused_requests import (
    MOST,
    SECONDS,
    ConnectionLogger,
    RefusedRequests,
)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refused(clock: Clock) -> RefusedRequests:
    return RefusedRequests(clock)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_an_address_has_one_line_a_minute_and_the_others_are_counted(
    refused: RefusedRequests, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(4):
        refused.note("192.0.2.1", "It is no HTTP.")
    refused.note("192.0.2.2", "Too large.")
    clock.now += SECONDS
    refused.note("192.0.2.1", "Too slow.")
    assert lines(caplog) == [
        "Refused a request of 192.0.2.1: It is no HTTP.",
        "Refused a request of 192.0.2.2: Too large. (3 more were refused since the last such "
        "line.)",
        "Refused a request of 192.0.2.1: Too slow.",
    ]


def test_any_number_of_addresses_has_few_lines(
    refused: RefusedRequests, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3 * MOST):
        refused.note(f"2001:db8::{number}", "x" * 10_000)
    assert len(caplog.records) == MOST
    assert max(map(len, lines(caplog))) < 400


def test_what_uvicorn_logs_of_clients_is_bounded_and_all_else_is_passed_on(
    refused: RefusedRequests, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    logger = ConnectionLogger(logging.getLogger("uvicorn.error"), refused, "192.0.2.1")
    assert logger.level == logging.getLogger("uvicorn.error").level
    for _ in range(3):
        logger.warning("Invalid HTTP request received.")
        logger.info('%s - "WebSocket %s" %d', "192.0.2.1:5", "/ws?token=secret", 401)
        logger.warning("Unsupported upgrade request.")
        clock.now += SECONDS
    logger.info("connection rejected (%d %s)", 401, "Unauthorized")  # said with the path above
    logger.info('%s - "WebSocket %s" [accepted]', "192.0.2.1:5", "/ws")
    logger.info("connection open")
    logger.error("Exception in ASGI application\n")
    first = "Refused a request of 192.0.2.1: The WebSocket /ws was refused with status 401."
    more = f"{first} (1 more were refused since the last such line.)"
    assert lines(caplog) == [
        first,
        more,
        more,
        "Exception in ASGI application\n",
    ]


def test_a_handshake_that_uvicorn_does_not_mention_is_told(
    refused: RefusedRequests, caplog: pytest.LogCaptureFixture
) -> None:
    logger = ConnectionLogger(logging.getLogger("uvicorn.error"), refused, None)
    logger.info("connection rejected (%d %s)", 400, "Bad Request")
    assert lines(caplog) == [
        "Refused a request of a client: A handshake of a WebSocket was refused: 400 Bad Request."
    ]
