"""An environment for each of those compared, made once under `.bench/`."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".bench"
REQUIREMENTS = {"peer": "labthings-fastapi==0.3.0", "hololinked": "hololinked"}
BEFORE_COMMIT = "46451d6"
"""The build before the code was made plain, with which `before` is compared."""


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Return the variables for a measured process, which keeps compiled modules as users do."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPYCACHEPREFIX": str(HOME / "compiled"), **(more or {})}


def source_before() -> Path:
    """Return the sources of the build before, taken from the repository's own history."""
    folder = HOME / BEFORE_COMMIT
    if not (folder / "src").exists():
        folder.mkdir(parents=True, exist_ok=True)
        archive = ["git", "archive", BEFORE_COMMIT, "src", "pyproject.toml", "README.md", "LICENSE"]
        packed = subprocess.run(archive, cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extractall(folder, filter="data")
    return folder


def _requirement(subject: str) -> str:
    return str(source_before()) if subject == "before" else REQUIREMENTS[subject]


def python_for(subject: str) -> str:
    """Return the interpreter that serves a subject; its environment is made if there is none.

    Ours and the floors run in the environment of this script, so that they share every version.
    """
    if subject != "before" and subject not in REQUIREMENTS:
        return sys.executable
    folder = HOME / subject
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    made = folder / ".made"
    if not made.exists():
        requirement = _requirement(subject)
        print(f"Making an environment for {requirement} …", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True, symlinks=os.name != "nt")
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, requirement], check=True)
        made.touch()
    return str(python)
