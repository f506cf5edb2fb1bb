"""An environment for each of those compared, made once under `.bench/`."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".bench"
REQUIREMENTS = {"peer": "labthings-fastapi==0.3.0", "hololinked": "hololinked"}


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Return the variables for a measured process, which keeps compiled modules as users do."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPYCACHEPREFIX": str(HOME / "compiled"), **(more or {})}


def python_for(subject: str) -> str:
    """Return the interpreter that serves a subject; its environment is made if there is none.

    Ours and the floors run in the environment of this script, so that they share every version.
    """
    if subject not in REQUIREMENTS:
        return sys.executable
    folder = HOME / subject
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    made = folder / ".made"
    if not made.exists():
        print(f"Making an environment for {REQUIREMENTS[subject]} …", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True, symlinks=os.name != "nt")
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, REQUIREMENTS[subject]], check=True)
        made.touch()
    return str(python)
