"""The modules of a server are loaded without looking for garbage meanwhile."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import gc, json, sys
{first}
from labthings_fastapi.server.preload import load_modules
before = gc.isenabled()
collections = []
gc.callbacks.append(lambda phase, _info: collections.append(phase))
load_modules()
seen = len(collections)
frozen = gc.get_freeze_count()
extra = [[] for _ in range(100)]
load_modules()
print(json.dumps({{
    "collections": seen,
    "frozen": frozen,
    "frozen later": gc.get_freeze_count() - frozen,
    "as before": gc.isenabled() == before,
    "loaded": [name for name in ("fastapi", "uvicorn") if name in sys.modules],
}}))
"""


def loading(first: str = "") -> dict[str, Any]:
    """Load in a new interpreter, and return what was seen."""
    program = PROGRAM.format(first=first)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_nothing_is_looked_for_while_modules_load_and_they_are_kept_for_good():
    seen = loading()
    assert seen["loaded"] == ["fastapi", "uvicorn"]
    assert seen["collections"] == 0
    assert seen["frozen"] > 10_000
    assert seen["as before"]


def test_what_is_made_after_modules_were_loaded_can_be_collected():
    # Freezing twice would keep it for good. Some objects die meanwhile, and are frozen no more.
    assert loading()["frozen later"] <= 0


def test_who_has_switched_collections_off_keeps_them_off():
    seen = loading("gc.disable()")
    assert seen["collections"] == 0
    assert seen["as before"]


def test_the_command_has_done_so_before_it_makes_things(tmp_path: Path):
    (tmp_path / "probes.py").write_text(
        "import gc\n"
        "import labthings_fastapi as lt\n"
        "class Probe(lt.Thing):\n"
        "    def __init__(self, **options):\n"
        "        raise RuntimeError(f'{gc.get_freeze_count()} are frozen')\n"
    )
    command = "from labthings_fastapi.server.cli import main; main()"
    told = json.dumps({"things": {"probe": "probes:Probe"}, "settings_folder": "settings"})
    done = subprocess.run(
        [sys.executable, "-c", command, "--json", told, "--port", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    frozen = re.search(r"(\d+) are frozen", done.stderr)
    assert frozen is not None, done.stderr
    assert int(frozen[1]) > 10_000
