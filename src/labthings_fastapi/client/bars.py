"""Progress bars on a terminal and in a notebook; several runs share one display."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Bar:
    """The bar of one run."""

    def __init__(self, progress: Any, task: Any) -> None:
        """Draw in a `rich.progress.Progress`."""
        self._progress = progress
        self._task = task

    def update(self, data: Mapping[str, Any]) -> None:
        """Show a progress report of the server."""
        detail = data.get("progressDetail") or {}
        percent = data.get("progress")
        message = detail.get("message") or ""
        self._progress.update(
            self._task,
            total=None if percent is None else 100.0,
            completed=percent if percent is not None else 0.0,
            message=str(message),
        )


class Bars:
    """The bars of one client; `shown` None means: if somebody can see them. Thread-safe."""

    def __init__(self, shown: bool | None) -> None:
        """Draw nothing yet."""
        self.shown = _somebody_looks() if shown is None else shown
        self._lock = threading.Lock()  # guards the two below
        self._progress: Any = None
        self._count = 0

    @contextmanager
    def bar(self, name: str) -> Iterator[Bar]:
        """Show a bar inside of the `with` block."""
        progress = self._take()
        task = progress.add_task(name, total=None, message="")
        try:
            yield Bar(progress, task)
        finally:
            progress.remove_task(task)
            self._give_back()

    def _take(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        with self._lock:
            if self._progress is None:
                self._progress = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    TextColumn("{task.percentage:>3.0f} %"),
                    TimeRemainingColumn(),
                    TextColumn("{task.fields[message]}"),
                    console=Console(stderr=True),
                    transient=True,
                )
                self._progress.start()
            self._count += 1
            return self._progress

    def _give_back(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count:
                return
            progress, self._progress = self._progress, None
        progress.stop()

    def close(self) -> None:
        """Remove what is shown."""
        with self._lock:
            progress, self._progress, self._count = self._progress, None, 0
        if progress is not None:
            progress.stop()


def _somebody_looks() -> bool:
    return in_notebook() or sys.stderr.isatty()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and type(found).__name__ == "ZMQInteractiveShell"
