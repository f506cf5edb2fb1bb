"""Title, description and parameter descriptions in a docstring; pure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

_PARAMETERS = frozenset({"parameters", "other parameters"})
_RESULTS = frozenset({"returns", "yields"})
_NAMES = r"(?:other |keyword )?(?:args|arguments|parameters|params)|returns?|yields?"
_MARKERS = re.compile(r"(?im)^\s*(\w+ )?(args|arguments|parameters|params)\b|^\s*:\w+")
_RESULT_MARKERS = re.compile(r"(?im)^\s*(returns?|yields?)\b|^\s*:returns?\b")
_INDENTED = r"(?:\n[ \t]+\S[^\n]*|\n[ \t]*(?=\n[ \t]+\S))+"
_SECTIONS = re.compile(
    # Google: a word with a colon, and indented lines.
    rf"^(?:{_NAMES})[ \t]*:[ \t]*{_INDENTED}"
    # NumPy: an underlined word, and everything up to the next one.
    rf"|^(?:{_NAMES})[ \t]*\n-{{3,}}[ \t]*(?:\n(?![^\n]+\n-{{3,}}[ \t]*$)[^\n]*)*"
    # Sphinx: fields between colons.
    r"|^:(?:param|parameter|arg|argument|key|keyword|type|returns?|rtype|yields?)\b[^\n:]*:[^\n]*"
    rf"(?:{_INDENTED})?",
    re.IGNORECASE | re.MULTILINE,
)


def summary(doc: str | None) -> str | None:
    """Return the first line with text, which serves as a title."""
    whole = _without_sections(doc)
    return whole.split("\n", 1)[0].strip() if whole else None


def description(doc: str | None) -> str | None:
    """Return the whole docstring without its indentation, or None where there is no text."""
    return (inspect.cleandoc(doc).strip() or None) if doc else None


def body(doc: str | None) -> str | None:
    """Return what follows the first line and an empty line; without that, the whole text.

    What the docstring says of parameters and results is left out: it belongs to their own
    descriptions.
    """
    whole = _without_sections(doc)
    if whole is None:
        return None
    _, *others = whole.split("\n")
    if len(others) > 1 and not others[0].strip():
        return "\n".join(others).strip()
    return whole


def _without_sections(doc: str | None) -> str | None:
    whole = description(doc)
    if whole is None:
        return None
    cut = _SECTIONS.sub("", whole)
    return re.sub(r"\n{3,}", "\n\n", cut).strip() or None


def parameter_descriptions(doc: str | None) -> dict[str, str]:
    """Return the first paragraph about each parameter, in Google, NumPy or Sphinx style.

    A docstring that follows no style yields nothing and never an error.
    """
    found: dict[str, str] = {}
    for section in _sections(doc, _MARKERS, _PARAMETERS):
        for parameter in section:
            paragraph = _first_paragraph(parameter.description)
            if paragraph:
                found.setdefault(parameter.name.lstrip("*\\"), paragraph)
    return found


def result_description(doc: str | None) -> str | None:
    """Return the first paragraph about what is returned (or yielded), in any of these styles."""
    for section in _sections(doc, _RESULT_MARKERS, _RESULTS):
        for result in section:
            paragraph = _first_paragraph(result.description)
            if paragraph:
                return paragraph
    return None


def _first_paragraph(text: str) -> str:
    return " ".join(text.strip().split("\n\n", 1)[0].split())


def _sections(doc: str | None, markers: re.Pattern[str], kinds: frozenset[str]) -> Iterator[Any]:
    """Yield the items of each section of these kinds."""
    whole = description(doc)
    if whole is None or not markers.search(whole):
        return
    # Imported here: most methods do not describe their parameters, and the import takes time.
    from griffe import Docstring, parse_google, parse_numpy, parse_sphinx

    docstring = Docstring(whole)
    parsed = (
        parse_google(
            docstring, warnings=False, returns_named_value=False, returns_multiple_items=False
        ),
        parse_numpy(docstring, warnings=False),
        parse_sphinx(docstring, warnings=False),
    )
    for sections in parsed:
        for section in sections:
            if section.kind.value in kinds:
                yield section.value
