"""Programs that the tests of journal faults run, and kill, in processes of their own.

`lives FILE COUNT SEED`: COUNT processes, one after another, write the same journal as fast as they
can, until each is killed at a random moment. Prints what they were told, as JSON.
`full FOLDER`: mounts a small disk there, fills it, and looks how the journal takes it.
`read-only FOLDER`: mounts a disk there that cannot be written.
`file-limit FILE`: lets the system refuse to make a file any longer, for a while.
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
    """Return an end in which every part can be recognised."""
    return replace(
        record,
        status=InvocationStatus.COMPLETED,
        time_ended=datetime.now(UTC),
        output=json.dumps(record.id.hex * size).encode(),
        log=tuple({"message": f"{record.id.hex} {line}"} for line in range(5)),
    )


def is_whole(record: InvocationRecord) -> bool:
    """Whether a record of an ended run is as it was put."""
    again = ended(record)
    return (record.output, record.log) == (again.output, again.log) and bool(record.time_ended)


# A journal that is killed


def live(path: Path, boot_id: str, told: int) -> None:
    """Write runs for ever, and tell each thing that the journal says is committed."""
    journal = SqliteJournal(path, boot_id=boot_id)

    def tell(kind: str, id: UUID) -> None:
        os.write(told, f"{kind} {id}\n".encode())

    for record in journal.interrupt_open_invocations():
        tell("interrupted", record.id)
    waiting: deque[Future[None]] = deque()

    def put(kind: str, record: InvocationRecord) -> None:
        future = journal.put(record)
        future.add_done_callback(lambda done: None if done.exception() else tell(kind, record.id))
        waiting.append(future)
        if len(waiting) > IN_FLIGHT:
            waiting.popleft().result(TIMEOUT)

    going: deque[InvocationRecord] = deque()
    while True:
        record = started(boot_id)
        put("started", record)
        going.append(record)
        if len(going) > IN_FLIGHT // 4:
            put("ended", ended(going.popleft()))


def lives(path: Path, count: int, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a moment, not a secret
    told: dict[str, list[str]] = {"started": [], "ended": [], "interrupted": []}
    for number in range(count):
        hear, tell = os.pipe()
        child = os.fork()  # nothing was imported twice, so 100 lives take seconds
        if child == 0:
            os.close(hear)
            live(path, f"life {number}", tell)
        os.close(tell)
        with open(hear, "rb", buffering=0) as pipe:
            heard = b""
            lines = dice.randrange(1, 500)
            while heard.count(b"\n") < lines and (more := pipe.read(4096)):
                heard += more
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            while more := pipe.read(65536):
                heard += more
        for line in heard.decode().splitlines(keepends=True):
            kind, _, id = line.partition(" ")
            if id.endswith("\n"):  # the last line may be torn
                told[kind].append(id.strip())
    print(json.dumps(told))  # noqa: T201


# A disk that is full


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)


def fill(folder: Path) -> Path:
    ballast = folder / "images"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast


def refused(future: Future[None]) -> int | None:
    error = future.exception(TIMEOUT)
    return error.errno if isinstance(error, OSError) else None


def full(folder: Path) -> None:
    mount(folder, "size=1m")
    path = folder / "journal.sqlite"
    journal = SqliteJournal(path, boot_id="one")
    first, second, third = (started("one") for _ in range(3))
    journal.put(first).result(TIMEOUT)
    ballast = fill(folder)
    assert refused(journal.put(ended(first, 1000))) == errno.ENOSPC
    large = replace(second, input=b"x" * 50_000)
    assert refused(journal.put(large)) == errno.ENOSPC
    assert journal.get(first.id) == first, "what was recorded can still be read"
    ballast.unlink()
    assert journal.put(third).result(TIMEOUT) is None, "and the next one works"
    journal.sweep().result(TIMEOUT)
    found = journal.get(first.id)
    assert found is not None
    assert found.status is InvocationStatus.COMPLETED, "the end was written after all"
    ballast = fill(folder)
    assert refused(journal.put(ended(third, 1000))) == errno.ENOSPC
    ballast.unlink()
    journal.close(TIMEOUT)  # the last moment at which it can be
    again = SqliteJournal(path, boot_id="one")
    kept = [again.get(record.id) for record in (first, second, third)]
    assert [record and record.status.value for record in kept] == ["completed", None, "completed"]
    again.close(TIMEOUT)


def full_from_the_start(folder: Path) -> None:
    mount(folder, "size=1m")
    ballast = fill(folder)
    journal, record = SqliteJournal(folder / "journal.sqlite", boot_id="one"), started("one")
    assert journal.interrupt_open_invocations() == []
    assert refused(journal.put(record)) == errno.ENOSPC
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
    assert refused(journal.put(replace(second, input=b"x" * 500_000))) is not None
    assert refused(journal.put(ended(first, 20_000))) is not None
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert journal.put(second).result(TIMEOUT) is None
    journal.sweep().result(TIMEOUT)
    found = journal.get(first.id)
    assert found is not None
    assert found.status is InvocationStatus.COMPLETED
    journal.close(TIMEOUT)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["lives", path, count, seed]:
            lives(Path(path), int(count), int(seed))
        case ["full", folder]:
            full(Path(folder))
        case ["full-from-the-start", folder]:
            full_from_the_start(Path(folder))
        case ["read-only", folder]:
            read_only(Path(folder))
        case ["file-limit", path]:
            file_limit(Path(path))
