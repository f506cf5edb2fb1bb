"""What the log shows for people: nobody can forge an entry, or move a cursor."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest

from labthings_fastapi.own_log import LOG_FORMAT, LogFormatter, without_queries_of_sockets

FORGED = "2026-05-01 12:00:00,000 INFO    labthings_fastapi.server: all is well"
NAME = "labthings_test_of_forging"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO(newline="")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter(LOG_FORMAT))
    logger = logging.getLogger(NAME)
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_second_line_is_not_an_entry(log: tuple[logging.Logger, io.StringIO], end: str) -> None:
    logger, stream = log
    logger.warning("refused %s", f"x{end}{FORGED}")
    first, *rest = stream.getvalue().rstrip("\n").split("\n")
    assert first.endswith(": refused x")
    assert rest[-1] == f"    {FORGED}"
    assert all(line.startswith("    ") for line in rest)


def test_no_character_ends_a_line_moves_the_cursor_or_reorders_the_text() -> None:
    """Every character of Unicode is tried, in one entry each thousand."""
    formatter, ends = LogFormatter("%(message)s"), set()
    for start in range(0, 0x110000, 1024):
        text = "".join(map(chr, range(start, start + 1024))).replace("\n", "")
        record = logging.LogRecord(NAME, 30, "", 0, text, None, None)
        shown = formatter.format(record)
        shown.encode()  # no half surrogate pair is left
        if len(shown.splitlines()) > 1:
            ends.add(start)
        assert not re.search(
            "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", shown
        )
    assert ends == set()


def test_usual_text_stays_as_it_is() -> None:
    text = "Die Bühne steht auf 3 µm, 温度 21 °C 🔬 \t(tab)"
    record = logging.LogRecord(NAME, 30, "", 0, text, None, None)
    assert LogFormatter("%(message)s").format(record) == text


@pytest.mark.parametrize("place", ["message", "argument", "logger", "exception"])
def test_control_characters_are_escaped_wherever_they_come_from(
    log: tuple[logging.Logger, io.StringIO], place: str
) -> None:
    logger, stream = log
    bad = "a\x1b[2J\rb\u202ec"
    if place == "logger":
        child = logger.getChild(bad)
        child.warning("x")
    elif place == "exception":
        try:
            raise ValueError(f"{bad}\n{FORGED}")
        except ValueError:
            logger.exception("x")
    elif place == "argument":
        logger.warning("x %s", bad)
    else:
        logger.warning(bad)
    shown = stream.getvalue()
    assert r"a\x1b[2J\rb\u202ec" in shown
    assert "\x1b" not in shown
    assert [line for line in shown.splitlines() if not line.startswith("    ")] == [
        shown.splitlines()[0]
    ]


def test_a_handler_that_fails_does_not_let_its_message_forge_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from labthings_fastapi.own_log import own_logger

    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError(f"disk\x1b[2J\n{FORGED}")

    logger, handler = own_logger("test_of_failing"), Failing()
    logger.logger.addHandler(handler)
    try:
        logger.warning("text\n%s", FORGED)
    finally:
        logger.logger.removeHandler(handler)
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert not [line for line in shown.splitlines() if line.startswith("2026")]


@pytest.mark.parametrize(
    ("text", "arguments", "shown"),
    [
        (
            '%s - "WebSocket %s" [accepted]',
            ("::1:5", "/ws?token=s"),
            '::1:5 - "WebSocket /ws" [accepted]',
        ),
        ('%s - "WebSocket %s" %d', ("::1:5", "/ws?a=1?b", 403), '::1:5 - "WebSocket /ws" 403'),
        ("< GET %s HTTP/1.1", ("/ws?token=s",), "< GET /ws HTTP/1.1"),
        ("Did it work? %s", ("why?",), "Did it work? why?"),
    ],
)
def test_queries_of_sockets_are_not_logged(
    text: str, arguments: tuple[object, ...], shown: str
) -> None:
    record = logging.LogRecord("uvicorn.error", 20, "", 0, text, arguments, None)
    assert without_queries_of_sockets(record)
    assert record.getMessage() == shown
