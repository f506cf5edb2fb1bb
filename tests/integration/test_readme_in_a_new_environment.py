"""The commands of the README work in a new virtual environment, as a reader types them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PORT_OF_README = "5000"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="The commands are for a POSIX shell.")


def printed_block(language: str, containing: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if containing in block)


def shell(script: str, folder: Path) -> str:
    """Run a script in the folder, as a new terminal does, and return what it prints."""
    # Neither the environment of these tests nor their coverage belongs to the reader.
    mine = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    mine["PATH"] = os.pathsep.join(
        each for each in mine["PATH"].split(os.pathsep) if not (Path(each, "activate")).exists()
    )
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        mine.pop(name, None)
    finished = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=mine,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the files that an installation needs, so that nothing is built in this checkout."""
    folder = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def commands(block: str) -> list[tuple[str, str]]:
    """Return each curl command of a block with the status that its comment promises."""
    whole = block.replace("\\\n", " ")
    return [
        (command.strip(), status)
        for command, status in re.findall(r"^(curl .*?)\s+# (\d{3}): .*$", whole, re.MULTILINE)
    ]


@pytest.mark.timeout(300)  # pip installs some thirty packages
def test_a_reader_can_install_run_and_use_the_stage(checkout: Path, running_server: Any) -> None:
    shell(printed_block("sh", "pip install"), checkout)
    python = checkout / "lab-env" / "bin" / "python"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
    module = printed_block("python", "class Stage").replace(PORT_OF_README, port)
    (checkout / "stage.py").write_text(module, "utf-8")
    running_server.process(cwd=checkout, command=(str(python), "stage.py"))

    block = printed_block("sh", "curl")
    found = commands(block)
    assert len(found) == len(re.findall("^curl", block, re.MULTILINE)) >= 5
    for command, status in found:
        asked = command.replace(PORT_OF_README, port)
        asked = asked.replace("curl ", "curl --silent --noproxy '*' --write-out '\\n%{http_code}' ")
        assert shell(asked, checkout).splitlines()[-1] == status, command
