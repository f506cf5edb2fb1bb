"""The version of a class."""

from __future__ import annotations

import re

import pytest

from labthings_fastapi.thing_description.class_facts import class_version, semantic_version

# The regular expression that semver.org suggests, with names left out.
SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.3", "1.2.3"),
        ("2026.12", "2026.12.0"),
        ("3", "3.0.0"),
        ("v1.02.3", "1.2.3"),
        ("1.0.0.dev0", "1.0.0-dev0"),
        ("1.0.0rc1", "1.0.0-rc1"),
        ("1.0.0-beta.02", "1.0.0-beta.2"),
        ("1.0.0.post1", "1.0.0+post1"),
        ("1.2.3.4", "1.2.3+4"),
        ("1!2.0+local.7", "2.0.0+local.7"),
        ("unknown", None),
    ],
)
def test_a_version_of_python_becomes_a_semantic_version(text, expected):
    found = semantic_version(text)
    assert found == expected
    assert found is None or SEMVER.fullmatch(found)


def test_a_class_has_the_version_of_its_package():
    assert SEMVER.fullmatch(class_version("labthings_fastapi.demo.stage"))
    assert class_version("pydantic.main") == semantic_version(__import__("pydantic").VERSION)
    assert class_version("__main__") is None
