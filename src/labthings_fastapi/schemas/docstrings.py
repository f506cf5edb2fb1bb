"""Title, description and parameter descriptions in a docstring; pure."""

from __future__ import annotations

import inspect
import re

_PARAMETERS = frozenset({"parameters", "other parameters"})
_MARKERS = re.compile(r"(?im)^\s*(\w+ )?(args|arguments|parameters|params)\b|^\s*:\w+")


def summary(doc: str | None) -> str | None:
    """Return the first line with text, which serves as a title."""
    whole = description(doc)
    return whole.split("\n", 1)[0].strip() if whole else None


def description(doc: str | None) -> str | None:
    """Return the whole docstring without its indentation, or None where there is no text."""
    return (inspect.cleandoc(doc).strip() or None) if doc else None


def parameter_descriptions(doc: str | None) -> dict[str, str]:
    """Return the first paragraph about each parameter, in Google, NumPy or Sphinx style.

    A docstring that follows no style yields nothing and never an error.
    """
    whole = description(doc)
    if whole is None or not _MARKERS.search(whole):
        return {}
    # Imported here: most methods do not describe their parameters, and the import takes time.
    from griffe import Docstring, parse_google, parse_numpy, parse_sphinx

    docstring = Docstring(whole)
    found: dict[str, str] = {}
    for parse in (parse_google, parse_numpy, parse_sphinx):
        for section in parse(docstring, warnings=False):
            if section.kind.value in _PARAMETERS:
                for parameter in section.value:
                    paragraph = parameter.description.strip().split("\n\n", 1)[0]
                    if paragraph:
                        name = parameter.name.lstrip("*\\")
                        found.setdefault(name, " ".join(paragraph.split()))
    return found
