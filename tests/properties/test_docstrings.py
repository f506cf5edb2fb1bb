"""Docstrings come in every shape; reading one never fails."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labthings_fastapi.schemas.docstrings import (
    body,
    description,
    parameter_descriptions,
    result_description,
    summary,
)

FRAGMENTS = st.sampled_from(
    [
        "Args:",
        "Parameters",
        "----------",
        ":param x:",
        "x : int",
        "    x (int): text",
        "\t",
        "*x:",
        "",
    ]
)
DOCSTRINGS = st.text() | st.lists(FRAGMENTS | st.text(max_size=10)).map("\n".join)


@given(DOCSTRINGS)
def test_any_text_can_be_read(doc):
    whole, title = description(doc), summary(doc)
    assert title is None or title in (whole or "")
    assert (body(doc) is None) == (title is None)
    assert result_description(doc) is None or whole
    for name, text in parameter_descriptions(doc).items():
        assert name == name.lstrip("*\\")
        assert text == text.strip() != ""


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.from_regex(r"[A-Za-z]{1,8}( [A-Za-z]{1,8}){0,4}", fullmatch=True)


@given(st.dictionaries(NAMES, TEXTS, min_size=1), st.sampled_from(["google", "numpy", "sphinx"]))
def test_what_was_written_in_a_style_is_found(parameters, style):
    lines = ["Do it.", ""]
    if style == "google":
        lines += ["Args:", *(f"    {name}: {text}" for name, text in parameters.items())]
    elif style == "numpy":
        lines += ["Parameters", "----------"]
        lines += [
            line for name, text in parameters.items() for line in (f"{name} : int", f"  {text}")
        ]
    else:
        lines += [f":param {name}: {text}" for name, text in parameters.items()]
    assert parameter_descriptions("\n".join(lines)) == parameters
