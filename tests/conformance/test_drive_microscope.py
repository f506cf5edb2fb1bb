"""The example that drives the demo microscope with node-wot alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(150)  # Node needs half a minute, longer on a busy computer

EXAMPLE = Path(__file__).parents[2] / "examples" / "drive_microscope.mjs"


def test_node_wot_drives_the_microscope_from_its_descriptions(bench, packages, tmp_path):
    # Node looks for packages beside the script, where its first lines install them.
    script = shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "node_modules").symlink_to(packages, target_is_directory=True)
    ended = subprocess.run(
        ["node", script, bench],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    printed = ended.stdout
    on_the_way = re.findall(r"at ([-\d.]+), ([-\d.]+), ", printed)
    assert len(set(on_the_way)) > 2, printed
    assert 'It has reached {"x":60,"y":-40,"z":0}.' in printed
    [heard] = re.findall(r"in focus at ([-\d.]+) µm", printed)
    assert f"led to z = {heard} µm" in printed
