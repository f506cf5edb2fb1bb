"""What a generator action yields is kept and published; files stand in a folder of their own."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labthings_fastapi.actions.context import get_invocation_directory, raise_if_cancelled
from labthings_fastapi.actions.recorded_invocation import RecordedInvocation
from labthings_fastapi.actions.results import InvocationFiles, InvocationResults
from labthings_fastapi.decorators import action
from labthings_fastapi.exceptions import InvocationCancelledError
from labthings_fastapi.messages.message import InvocationStatus
from labthings_fastapi.thing import Thing

if TYPE_CHECKING:
    from collections.abc import Callable

    from labthings_fastapi.actions import ActionManager, Invocation


def test_the_newest_are_kept_and_all_are_counted_and_published() -> None:
    published: list[tuple[int, Any, bytes]] = []
    delivered: list[int] = []
    results = InvocationResults(
        publish=lambda *result: published.append(result),
        deliver=lambda: delivered.append(len(published)),
        kept=2,
    )
    for number in range(3):
        results.add(number, b"%d" % number)
    assert results.values() == [1, 2]
    assert results.json() == b"[1,2]"
    assert results.count == 3
    assert published == [(1, 0, b"0"), (2, 1, b"1"), (3, 2, b"2")]
    assert delivered == [1, 2, 3]


def test_results_that_threads_add_at_once_are_published_in_the_order_of_their_numbers() -> None:
    published: list[int] = []
    results = InvocationResults(publish=lambda number, *_: published.append(number))

    def add_many() -> None:
        for value in range(500):
            results.add(value, b"0")

    threads = [threading.Thread(target=add_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert published == list(range(1, 2001))
    assert len(results.values()) == 2000


def test_without_results_there_is_an_empty_list() -> None:
    assert InvocationResults().json() == b"[]"
    assert InvocationResults().values() == []


class Scanner(Thing):
    """Yields in every way."""

    def __init__(self) -> None:
        """Note what becomes of its generators."""
        super().__init__()
        self.notes: list[str] = []
        self.first = threading.Event()

    @action
    def points(self, n: int) -> Iterator[int]:
        """Yield whole numbers."""
        yield from range(n)

    @action
    def summed(self, n: int) -> Generator[int, None, str]:
        """Yield, then sum up."""
        total = 0
        for number in range(n):
            total += number
            yield number
        return f"sum {total}"

    @action
    def wrong(self) -> Iterator[int]:
        """Break the hint at the second value."""
        try:
            yield 1
            yield "two"  # type: ignore[misc]
        finally:
            self.notes.append("closed")

    @action
    def endless(self) -> Iterator[int]:
        """Yield until cancelled."""
        try:
            while True:
                yield 1
                self.first.set()
        except InvocationCancelledError:
            self.notes.append("cancelled at the yield")
            raise

    @action
    def stubborn(self) -> Iterator[int]:
        """Take a cancel as advice, and finish."""
        try:
            while True:
                yield 1
                self.first.set()
        except InvocationCancelledError:
            yield 2

    @action
    async def async_points(self, n: int) -> AsyncIterator[int]:
        """Yield without ever waiting."""
        for number in range(n):
            yield number

    @action
    async def async_endless(self) -> AsyncIterator[int]:
        """Yield for ever without ever waiting."""
        try:
            while True:
                yield 1
                self.first.set()
        except asyncio.CancelledError:
            self.notes.append("cancelled at the yield")
            raise

    @action
    async def async_waiting(self) -> AsyncIterator[int]:
        """Wait for ever between two values."""
        try:
            yield 1
            self.first.set()
            await asyncio.Event().wait()
            yield 2
        finally:
            self.notes.append("closed")

    @action
    async def async_failing(self) -> AsyncIterator[int]:
        """Fail after a value."""
        yield 1
        raise ZeroDivisionError

    @action
    def sleepless(self) -> Iterator[int]:
        """Fail after a value."""
        yield 1
        raise_if_cancelled()
        raise SystemExit(2)


@pytest.fixture
def scanner() -> Scanner:
    """Give a Thing that yields."""
    return Scanner()


def ended(manager: ActionManager, scanner: Scanner, name: str, **given: Any) -> Invocation:
    descriptor = scanner.actions[name]
    invocation = manager.invoke_action(descriptor, scanner, input=descriptor.input_model(**given))
    invocation.join(30)
    assert not invocation.is_alive()
    return invocation


def cancelled(manager: ActionManager, scanner: Scanner, name: str) -> Invocation:
    invocation = manager.invoke_action(scanner.actions[name], scanner)
    assert scanner.first.wait(30)
    invocation.cancel()
    invocation.join(30)
    assert not invocation.is_alive()
    return invocation


@pytest.mark.parametrize("name", ["points", "async_points"])
def test_the_output_is_the_list_of_the_values(
    manager: ActionManager, scanner: Scanner, name: str
) -> None:
    invocation = ended(manager, scanner, name, n=3)
    assert invocation.output == [0, 1, 2]
    assert invocation.results == [0, 1, 2]
    assert invocation.record.output == b"[0,1,2]"


@pytest.mark.parametrize("name", ["points", "async_points"])
def test_no_value_makes_an_empty_list(manager: ActionManager, scanner: Scanner, name: str) -> None:
    invocation = ended(manager, scanner, name, n=0)
    assert (invocation.output, invocation.status) == ([], InvocationStatus.COMPLETED)


def test_a_return_value_that_the_hint_names_is_the_output(
    manager: ActionManager, scanner: Scanner
) -> None:
    invocation = ended(manager, scanner, "summed", n=4)
    assert invocation.output == "sum 6"
    assert invocation.results == [0, 1, 2, 3]


def test_a_value_that_breaks_the_hint_ends_the_run_and_closes_the_generator(
    manager: ActionManager, scanner: Scanner
) -> None:
    invocation = ended(manager, scanner, "wrong")
    assert invocation.status is InvocationStatus.ERROR
    assert "yielded a value of type 'str'" in str(invocation.exception)
    assert invocation.results == [1]
    assert scanner.notes == ["closed"]


@pytest.mark.parametrize("name", ["endless", "async_endless"])
def test_a_cancel_arrives_at_the_yield(manager: ActionManager, scanner: Scanner, name: str) -> None:
    invocation = cancelled(manager, scanner, name)
    assert invocation.status is InvocationStatus.CANCELLED
    assert invocation.output == invocation.results, "what it has yielded is not lost"
    assert invocation.record.partial
    assert scanner.notes == ["cancelled at the yield"]


def test_a_cancel_ends_an_async_generator_that_waits(
    manager: ActionManager, scanner: Scanner
) -> None:
    invocation = cancelled(manager, scanner, "async_waiting")
    assert invocation.status is InvocationStatus.CANCELLED
    assert scanner.notes == ["closed"]


def test_a_generator_that_finishes_all_the_same_is_completed(
    manager: ActionManager, scanner: Scanner
) -> None:
    invocation = cancelled(manager, scanner, "stubborn")
    assert invocation.status is InvocationStatus.COMPLETED
    assert invocation.output[-1] == 2
    assert invocation.record.cancel_requested


@pytest.mark.parametrize(
    ("name", "error"), [("async_failing", ZeroDivisionError), ("sleepless", SystemExit)]
)
def test_a_generator_that_fails_keeps_its_results(
    manager: ActionManager, scanner: Scanner, name: str, error: type[BaseException]
) -> None:
    invocation = ended(manager, scanner, name)
    assert invocation.status is InvocationStatus.ERROR
    assert isinstance(invocation.exception, error)
    assert invocation.results == [1]


# --- files --------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _folders_of_this_test_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def made_folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("labthings-run-*"))


def test_nothing_is_made_before_it_is_needed() -> None:
    before = made_folders()
    files = InvocationFiles()
    assert files.names() == []
    assert files.find("x") is None
    assert made_folders() == before


def test_the_folder_stays_the_same() -> None:
    files = InvocationFiles()
    assert files.directory.is_dir()
    assert files.directory == files.directory


def test_files_are_listed_by_name_also_those_in_folders() -> None:
    files = InvocationFiles()
    (files.directory / "inner" / "empty").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "inner/c.txt"):
        (files.directory / name).write_text(name)
    assert files.names() == ["a.txt", "b.txt", "inner/c.txt"]
    for name in files.names():
        found = files.find(name)
        assert found is not None
        assert found.path.read_text() == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../secret", "inner", "inner/../inner/x", "/etc/hosts", "a\0b"]
)
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    files = InvocationFiles()
    (files.directory / "inner").mkdir()
    (files.directory / "inner" / "x").write_text("x")
    assert files.find(name) is None


def test_a_folder_that_the_action_removed_is_empty() -> None:
    files = InvocationFiles()
    shutil.rmtree(files.directory)
    assert files.names() == []
    assert files.find("a.txt") is None


@pytest.mark.skipif(sys.platform != "linux", reason="only there are names bytes")
def test_a_file_whose_name_is_not_unicode_is_not_listed() -> None:
    files = InvocationFiles()
    with open(os.fsencode(files.directory) + b"/\xff.txt", "wb"):
        pass
    assert files.names() == []


def test_the_folder_goes_with_the_run() -> None:
    files = InvocationFiles()
    folder = files.directory
    (folder / "a.txt").write_text("x")
    del files
    gc.collect()
    assert not folder.exists()


def test_an_action_leaves_files(run: Callable[..., Invocation]) -> None:
    def code() -> None:
        (get_invocation_directory() / "log.csv").write_text("1,2")

    assert run(code).files.names() == ["log.csv"]


def test_ended_invocations_without_files_have_each_a_folder_of_their_own(
    run: Callable[..., Invocation],
) -> None:
    one, other = run(lambda: None), run(lambda: None)
    (one.files.directory / "a.txt").write_text("x")
    assert one.files.directory != other.files.directory
    assert one.files.names() == ["a.txt"]
    assert other.files.names() == []


def test_invocations_that_are_known_from_the_journal_have_each_files_of_their_own(
    run: Callable[..., Invocation],
) -> None:
    one, other = (RecordedInvocation(run(lambda: None).record) for _ in range(2))
    (one.files.directory / "a.txt").write_text("x")
    assert other.files.names() == []
