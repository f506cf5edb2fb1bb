from __future__ import annotations

import re

import pytest

from labthings_fastapi.schemas.patterns import portable


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^\d+$", "^[0-9]+$"),
        (r"[\w-]", "[A-Za-z0-9_-]"),
        (r"\S", r"[^ \t\n\r\f\v]"),
        (r"a\.b(?:c|d)", r"a\.b(?:c|d)"),
        (r"[^\]]", r"[^\]]"),
    ],
)
def test_classes_of_characters_are_written_out(pattern, expected):
    assert portable(pattern) == expected
    assert re.compile(expected)


@pytest.mark.parametrize(
    "pattern",
    [r"(?i)a", r"(?=a)", r"(?<!a)b", r"\Aa", r"a\z", r"\p{L}", "[]a]", "[[:alpha:]]", r"[\D]"],
)
def test_what_the_dialects_read_differently_is_refused_with_a_remedy(pattern):
    with pytest.raises(ValueError, match=r"[Uu]se|write"):
        portable(pattern)


def test_a_pattern_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="cannot be read"):
        portable("a{2")
