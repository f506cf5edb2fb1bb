"""Programs that the tests of journal faults run in other processes.

`starts FILE COUNT SEED`: COUNT processes, one after another, write the same journal, and each is
killed at a random moment. Prints the ids of all committed records as JSON.
`full FOLDER`: mounts a small disk there, fills it, and checks the journal.
`full-from-the-start FOLDER`: the same, but the disk is full before the journal is opened.
`read-only FOLDER`: mounts a disk there that cannot be written.
`file-limit FILE`: limits the size of files for a while.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import subprocess
import sys
from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from labthings_fastapi.exceptions import ServerConfigurationError
from labthings_fastapi.journal.record import InvocationRecord
from labthings_fastapi.journal.sqlite import SqliteJournal
from labthings_fastapi.messages.message import InvocationStatus

TIMEOUT = 60.0
IN_FLIGHT = 100


def started(boot_id: str, **changes: Any) -> InvocationRecord:
    record = InvocationRecord(
        id=uuid4(),
        thing="stage",
        action="move",
        status=InvocationStatus.PENDING,
        requested_by="ada",
        input=b'{"x":1.5}',
        time_requested=datetime.now(UTC),
        boot_id=boot_id,
    )
    return replace(record, **changes)


def ended(record: InvocationRecord, size: int = 40) -> InvocationRecord:
    """Return a final record whose contents depend on its id."""
    return replace(
        record,
        status=InvocationStatus.COMPLETED,
        time_ended=datetime.now(UTC),
        output=json.dumps(record.id.hex * size).encode(),
        log=tuple({"message": f"{record.id.hex} {line}"} for line in range(5)),
    )


def is_whole(record: InvocationRecord) -> bool:
    """Return whether a final record is as it was put."""
    expected = ended(record)
    unchanged = (record.output, record.log) == (expected.output, expected.log)
    return unchanged and record.time_ended is not None


# A journal that is killed


def write_until_killed(path: Path, boot_id: str, pipe: int) -> None:
    """Write invocations for ever, and report each commit to the pipe."""
    journal = SqliteJournal(path, boot_id=boot_id)

    def report(kind: str, id: UUID) -> None:
        os.write(pipe, f"{kind} {id}\n".encode())

    for record in journal.interrupt_open_invocations():
        report("interrupted", record.id)
    futures: deque[Future[None]] = deque()

    def put(kind: str, record: InvocationRecord) -> None:
        future = journal.put(record)
        future.add_done_callback(lambda done: None if done.exception() else report(kind, record.id))
        futures.append(future)
        if len(futures) > IN_FLIGHT:
            futures.popleft().result(TIMEOUT)

    open_records: deque[InvocationRecord] = deque()
    while True:
        record = started(boot_id)
        put("started", record)
        open_records.append(record)
        if len(open_records) > IN_FLIGHT // 4:
            put("ended", ended(open_records.popleft()))


def starts(path: Path, count: int, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - chooses moments, no secrets
    reported: dict[str, list[str]] = {"started": [], "ended": [], "interrupted": []}
    for number in range(count):
        read_end, write_end = os.pipe()
        child = os.fork()  # modules are imported once, so that 100 starts take seconds
        if child == 0:
            os.close(read_end)
            write_until_killed(path, f"start {number}", write_end)
        os.close(write_end)
        with open(read_end, "rb", buffering=0) as pipe:
            output = b""
            lines = generator.randrange(1, 500)
            while output.count(b"\n") < lines and (more := pipe.read(4096)):
                output += more
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            while more := pipe.read(65536):
                output += more
        for line in output.decode().splitlines(keepends=True):
            kind, _, id = line.partition(" ")
            if id.endswith("\n"):  # the kill may have cut the last line
                reported[kind].append(id.strip())
    print(json.dumps(reported))  # noqa: T201


# A disk that is full


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)


def fill(folder: Path) -> Path:
    ballast = folder / "images"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast


def errno_of(future: Future[None]) -> int | None:
    error = future.exception(TIMEOUT)
    return error.errno if isinstance(error, OSError) else None


def full(folder: Path) -> None:
    mount(folder, "size=1m")
    path = folder / "journal.sqlite"
    journal = SqliteJournal(path, boot_id="one")
    first, second, third = (started("one") for _ in range(3))
    journal.put(first).result(TIMEOUT)
    ballast = fill(folder)
    assert errno_of(journal.put(ended(first, 1000))) == errno.ENOSPC
    large = replace(second, input=b"x" * 50_000)
    assert errno_of(journal.put(large)) == errno.ENOSPC
    assert journal.get(first.id) == first, "committed records can be read"
    ballast.unlink()
    assert journal.put(third).result(TIMEOUT) is None, "the next record is written"
    journal.sweep().result(TIMEOUT)
    found = journal.get(first.id)
    assert found is not None
    assert found.status is InvocationStatus.COMPLETED, "the end was written later"
    ballast = fill(folder)
    assert errno_of(journal.put(ended(third, 1000))) == errno.ENOSPC
    ballast.unlink()
    journal.close(TIMEOUT)  # the last retry
    again = SqliteJournal(path, boot_id="one")
    kept = [again.get(record.id) for record in (first, second, third)]
    assert [record and record.status.value for record in kept] == ["completed", None, "completed"]
    again.close(TIMEOUT)


def full_from_the_start(folder: Path) -> None:
    mount(folder, "size=1m")
    ballast = fill(folder)
    journal, record = SqliteJournal(folder / "journal.sqlite", boot_id="one"), started("one")
    assert journal.interrupt_open_invocations() == []
    assert errno_of(journal.put(record)) == errno.ENOSPC
    ballast.unlink()
    assert journal.put(record).result(TIMEOUT) is None
    assert journal.get(record.id) == record
    journal.close(TIMEOUT)


def read_only(folder: Path) -> None:
    mount(folder, "size=1m,ro")
    path = folder / "settings" / "journal.sqlite"
    with pytest.raises(ServerConfigurationError, match=f"{path}.*{folder}"):
        SqliteJournal(path, boot_id="one")


def file_limit(path: Path) -> None:
    import resource

    journal, first, second = (
        SqliteJournal(path, boot_id="one"),
        started("one"),
        started("one"),
    )
    journal.put(first).result(TIMEOUT)
    length = max(file.stat().st_size for file in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, resource.RLIM_INFINITY))
    assert errno_of(journal.put(replace(second, input=b"x" * 500_000))) is not None
    assert errno_of(journal.put(ended(first, 20_000))) is not None
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert journal.put(second).result(TIMEOUT) is None
    journal.sweep().result(TIMEOUT)
    found = journal.get(first.id)
    assert found is not None
    assert found.status is InvocationStatus.COMPLETED
    journal.close(TIMEOUT)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["starts", path, count, seed]:
            starts(Path(path), int(count), int(seed))
        case ["full", folder]:
            full(Path(folder))
        case ["full-from-the-start", folder]:
            full_from_the_start(Path(folder))
        case ["read-only", folder]:
            read_only(Path(folder))
        case ["file-limit", path]:
            file_limit(Path(path))
