"""What tests share: a folder of their own, failing logs, how hypothesis looks for examples."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadlines, and nothing is too slow: they are timing assertions, which shared machines break at
# random.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", unhurried, max_examples=50)
# The same examples each time, so that a failure in CI can be seen again.
settings.register_profile("ci", unhurried, max_examples=50, derandomize=True, database=None)
# For an evening: `HYPOTHESIS_PROFILE=thorough make properties`.
settings.register_profile("thorough", unhurried, max_examples=2_000)

_in_ci = os.environ.get("CI", "").lower() == "true"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if _in_ci else "quick"))


@pytest.fixture(autouse=True)
def _a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a server with the default configuration keep its settings and journal out of here."""
    monkeypatch.chdir(tmp_path)


class Raising(logging.Handler):
    """A handler of a user's, who forgot that it may fail."""

    def __init__(self, error: BaseException) -> None:
        """Raise `error` for each record."""
        super().__init__()
        self.error = error

    def emit(self, record: logging.LogRecord) -> None:
        """Fail."""
        raise self.error


@pytest.fixture
def let_logging_fail() -> Iterator[Callable[[str, BaseException], None]]:
    """Give what lets everything fail that is logged below a name, until the test ends."""
    added: list[tuple[logging.Logger, logging.Handler]] = []

    def let_fail(name: str, error: BaseException) -> None:
        added.append((logging.getLogger(name), Raising(error)))
        logger, handler = added[-1]
        logger.addHandler(handler)

    yield let_fail
    for logger, handler in added:
        logger.removeHandler(handler)
