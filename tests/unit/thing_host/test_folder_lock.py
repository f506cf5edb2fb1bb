"""One server for each settings folder."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from labthings_fastapi.exceptions import (
    FolderInUseError,
    JournalInUseError,
    ServerNotRunningError,
)
from labthings_fastapi.thing_host.folder_lock import LOCK_FILE, FolderLock, lock_for_journal

# Claims a folder, prints "held", and holds it until its stdin is closed or it is killed.
HOLDER = """
import sys
from pathlib import Path
from labthings_fastapi.thing_host.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
assert lock.claim()
lock.secure()
print("held", flush=True)
sys.stdin.read()
"""
FORKING = """
import os, sys
from pathlib import Path
from labthings_fastapi.thing_host.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
assert lock.claim()
lock.secure()
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)  # after the fork handlers, which drop the inherited lock
    os.close(1)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), 9)
"""

FORKED_CHILD_RELEASES = """
import os, sys
from pathlib import Path
from labthings_fastapi.thing_host.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
assert lock.claim()
lock.secure()
child = os.fork()
if child == 0:
    lock.release()
    sys.exit()  # with all finalisers
os.waitpid(child, 0)
print("held", flush=True)
sys.stdin.read()
"""


def start(program, folder):
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def holder(tmp_path):
    """Give a process that holds the folder `settings`."""
    process = start(HOLDER, tmp_path / "settings")
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate(timeout=30)


@pytest.fixture
def lock(tmp_path):
    lock = FolderLock(tmp_path / "settings")
    yield lock
    lock.release()


def test_a_second_server_of_this_process_does_not_get_the_folder(lock, tmp_path):
    assert lock.claim()
    second = FolderLock(tmp_path / "settings" / ".." / "settings")
    assert not second.claim()
    second.release()
    assert not FolderLock(tmp_path / "settings").claim(), "which the second one never had"
    lock.release()
    assert second.claim()
    second.release()


def test_a_folder_that_does_not_exist_is_not_made_before_something_is_kept(lock, tmp_path):
    assert lock.claim()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_to_secure_a_folder_makes_it_and_names_this_process(lock, tmp_path):
    lock.claim()
    lock.secure()
    lock.secure()
    assert (tmp_path / "settings" / LOCK_FILE).read_text().strip() == str(os.getpid())


def test_only_a_claimed_folder_can_be_secured(lock, tmp_path):
    with pytest.raises(ServerNotRunningError, match="settings"):
        lock.secure()
    assert list(tmp_path.iterdir()) == []


def test_another_process_is_named(holder, lock, tmp_path):
    with pytest.raises(FolderInUseError, match=f"{tmp_path}.*process {holder.pid}\\."):
        lock.claim()


def test_a_process_that_comes_first_with_the_first_file_keeps_the_folder(lock, tmp_path):
    assert lock.claim()
    process = start(HOLDER, tmp_path / "settings")
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(FolderInUseError, match=str(process.pid)):
        lock.secure()
    process.kill()
    process.communicate(timeout=30)
    lock.secure()


def test_a_killed_process_holds_nothing(holder, lock):
    holder.kill()
    holder.wait(30)
    assert lock.claim()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Nothing is forked on this system.")
def test_the_children_of_a_killed_process_hold_nothing(lock, tmp_path):
    process = start(FORKING, tmp_path / "settings")
    assert process.stdout is not None
    assert int(process.stdout.readline()) > 0
    process.wait(30)
    assert lock.claim()
    process.communicate(timeout=30)  # which lets the child go


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Nothing is forked on this system.")
def test_a_forked_child_cannot_release_the_lock_of_its_parent(lock, tmp_path):
    process = start(FORKED_CHILD_RELEASES, tmp_path / "settings")
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(FolderInUseError, match=rf"process {process.pid}\."):
        lock.claim()
    process.communicate(timeout=30)  # which lets it end
    assert lock.claim()


def test_a_folder_that_cannot_be_locked_is_used_with_a_warning(lock, tmp_path, caplog):
    (tmp_path / "settings" / LOCK_FILE).mkdir(parents=True)
    with caplog.at_level(logging.WARNING, "labthings_fastapi"):
        assert lock.claim()
    assert "cannot be locked" in caplog.text


def test_a_server_that_stops_at_this_moment_has_no_folder_to_keep(tmp_path, monkeypatch):
    class Stopping:
        """A lock that the other thread, which stops the server, gets first."""

        def __enter__(self):
            monkeypatch.setattr(lock, "_lock", real)
            lock.release()
            real.acquire()

        def __exit__(self, *_):
            real.release()

    lock = FolderLock(tmp_path)
    assert lock.claim()
    real = lock._lock
    monkeypatch.setattr(lock, "_lock", Stopping())
    lock.secure_if_claimed()
    assert lock.claim()
    lock.release()


needs_to_move = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows does not move what is open."
)


@needs_to_move
def test_a_folder_that_was_moved_is_noticed_and_locked_again(lock, tmp_path, caplog):
    lock.claim()
    lock.secure()
    (tmp_path / "settings").rename(tmp_path / "moved")
    lock.secure()
    assert "was moved" in caplog.text
    assert (tmp_path / "settings" / LOCK_FILE).exists()
    with pytest.raises(FolderInUseError):
        _claim_elsewhere(tmp_path / "settings")
    _claim_elsewhere(tmp_path / "moved")


@needs_to_move
@pytest.mark.parametrize("change", ["moved", "lock deleted"])
def test_who_came_first_after_a_move_keeps_the_folder(lock, tmp_path, change):
    lock.claim()
    lock.secure()
    if change == "moved":
        (tmp_path / "settings").rename(tmp_path / "moved")
    else:
        (tmp_path / "settings" / LOCK_FILE).unlink()
    process = start(HOLDER, tmp_path / "settings")
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    for _ in range(2):
        with pytest.raises(FolderInUseError, match=str(process.pid)):
            lock.secure()
    process.kill()
    process.communicate(timeout=30)
    lock.secure()
    assert (tmp_path / "settings" / LOCK_FILE).read_text().strip() == str(os.getpid())


def test_a_lock_in_its_place_is_not_taken_again(lock, tmp_path, caplog):
    lock.claim()
    lock.secure()
    before = (tmp_path / "settings" / LOCK_FILE).stat()
    lock.secure()
    assert (tmp_path / "settings" / LOCK_FILE).stat().st_mtime_ns == before.st_mtime_ns
    assert caplog.messages == []


@needs_to_move
def test_a_journal_is_locked_by_its_own_name_also_behind_a_link(tmp_path):
    path, link = tmp_path / "a" / "runs.sqlite", tmp_path / "link.sqlite"
    link.symlink_to(path)
    first, second = lock_for_journal(path), lock_for_journal(link)
    other = lock_for_journal(tmp_path / "a" / "others.sqlite")
    try:
        assert first.claim_and_make()
        assert not second.claim()
        assert other.claim_and_make()
        with pytest.raises(JournalInUseError, match=f"journal '{path}'.*process {os.getpid()}"):
            _claim_elsewhere(path.parent, path.name)
    finally:
        first.release()
        other.release()
    assert second.claim()
    second.release()


def _claim_elsewhere(folder, file=None):
    """Lock as another process would: without what this one has claimed."""
    from labthings_fastapi.thing_host import folder_lock

    kept, folder_lock._claims = folder_lock._claims, {}
    try:
        other = FolderLock(folder, file)
        other.claim()
        other.release()
    finally:
        folder_lock._claims = kept
