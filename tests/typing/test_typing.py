"""Type checkers understand Things: mypy and pyright, over the same samples.

The samples state what must be inferred and what must be refused; see `samples/things.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(150)  # type checkers read the whole package

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLES = HERE / "samples"

Checker = Callable[[Path], "subprocess.CompletedProcess[str]"]

# An unexpected error, an expected one that is missing, and a wrong inference.
MISTAKES = {
    "unexpected": "Stage().speed.upper()\n",
    "missing": "Stage().speed = 2  # type: ignore[assignment]  # pyright: ignore[reportGeneral]\n",
    "inferred": "assert_type(Stage().speed, str)\n",
}
HEAD = (
    "from typing import assert_type\n"
    "import labthings_fastapi as lt\n"
    "class Stage(lt.Thing):\n"
    "    speed: float = lt.property(default=1.0)\n"
)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def mypy(samples: Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", samples)


def pyright(samples: Path) -> subprocess.CompletedProcess[str]:
    """Use the project's settings for a folder that may be elsewhere."""
    settings = json.loads((HERE / "pyrightconfig.json").read_text("utf-8"))
    settings["include"] = [os.path.relpath(samples, samples.parent)]
    config = samples.parent / "pyrightconfig.json" if samples != SAMPLES else None
    if config is not None:
        config.write_text(json.dumps(settings), "utf-8")
    project = config or HERE / "pyrightconfig.json"
    return run(sys.executable, "-m", "basedpyright", "-p", project, "--pythonpath", sys.executable)


CHECKERS = pytest.mark.parametrize("checker", [mypy, pyright])


@CHECKERS
def test_the_samples_are_understood(checker: Checker) -> None:
    finished = checker(SAMPLES)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@CHECKERS
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_would_be_found(checker: Checker, mistake: str, tmp_path: Path) -> None:
    """The checkers really look: each of the three kinds of mistake makes them fail."""
    samples = tmp_path / "samples"
    samples.mkdir()
    (samples / "wrong.py").write_text(HEAD + MISTAKES[mistake], "utf-8")
    finished = checker(samples)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert "wrong.py:5" in finished.stdout


@CHECKERS
def test_what_is_right_would_pass(checker: Checker, tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    (samples / "right.py").write_text(HEAD + "assert_type(Stage().speed, float)\n", "utf-8")
    finished = checker(samples)
    assert finished.returncode == 0, finished.stdout + finished.stderr
