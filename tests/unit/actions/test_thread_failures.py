"""An exception that ends a plain thread is in the server's log, with the thread's name."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.actions.thread_failures import ThreadFailureHook

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ThreadFailureHook:
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    return ThreadFailureHook()


def end_a_thread(target: Callable[[], Any]) -> None:
    thread = threading.Thread(target=target, name="readout")
    thread.start()
    thread.join(30)


def fail() -> None:
    raise OSError("buffer overflow")


def test_it_is_logged_with_its_traceback(
    hook: ThreadFailureHook, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    hook.begin()
    end_a_thread(fail)
    hook.end()
    assert "Thread 'readout' ended with OSError: buffer overflow" in caplog.text
    assert "in fail" in caplog.text
    assert capsys.readouterr().err == ""


def test_a_thread_that_ends_itself_is_no_failure(
    hook: ThreadFailureHook, caplog: pytest.LogCaptureFixture
) -> None:
    hook.begin()
    end_a_thread(sys.exit)
    hook.end()
    assert caplog.text == ""


def test_the_hook_of_somebody_else_is_called_as_well(
    hook: ThreadFailureHook, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: seen.append(failure.exc_value))
    hook.begin()
    end_a_thread(fail)
    hook.end()
    assert [str(error) for error in seen] == ["buffer overflow"]
    assert "readout" in caplog.text


def test_it_is_left_to_python_again_after_the_last_server(
    hook: ThreadFailureHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.begin()
    hook.begin()
    hook.end()
    assert threading.excepthook is not threading.__excepthook__
    hook.end()
    assert threading.excepthook is threading.__excepthook__


def test_a_hook_that_was_put_over_ours_stays_and_ours_logs_nothing(
    hook: ThreadFailureHook, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.begin()
    ours = threading.excepthook

    def over(failure: threading.ExceptHookArgs) -> None:
        ours(failure)

    monkeypatch.setattr(threading, "excepthook", over)
    hook.end()
    assert threading.excepthook is over
    monkeypatch.setattr(threading, "__excepthook__", lambda _: None)
    end_a_thread(fail)
    assert caplog.text == ""
