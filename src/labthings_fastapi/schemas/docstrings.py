"""What a docstring says: a title, a description, and what each parameter means.

Pure. A docstring that follows no convention yields less and never an error.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence

_GOOGLE_SECTION = re.compile(
    r"(args|arguments|parameters|params|keyword args|keyword arguments|other parameters):\s*",
    re.IGNORECASE,
)
_GOOGLE_ENTRY = re.compile(r"(?P<name>[*\\]*\w+)\s*(?:\([^)]*\)\s*)?:(?:\s+(?P<text>.*)|\s*)")
_NUMPY_SECTION = re.compile(r"(other )?parameters\s*", re.IGNORECASE)
_NUMPY_ENTRY = re.compile(r"(?P<names>[*\\]*\w+(?:\s*,\s*[*\\]*\w+)*)\s*(?::.*)?")
_UNDERLINE = re.compile(r"-{3,}\s*")
_SPHINX_ENTRY = re.compile(
    r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?(?P<name>[*\\]*\w+)\s*:\s*"
    r"(?P<text>.*)"
)


def summary(doc: str | None) -> str | None:
    """Return the first line with text, which serves as a title."""
    whole = description(doc)
    return whole.split("\n", 1)[0].strip() if whole else None


def description(doc: str | None) -> str | None:
    """Return the whole docstring without its indentation, or None where there is no text."""
    return (inspect.cleandoc(doc).strip() or None) if doc else None


def parameter_descriptions(doc: str | None) -> dict[str, str]:
    """Return what is said about each parameter, in Google, NumPy or Sphinx style."""
    lines = (description(doc) or "").splitlines()
    found: dict[str, str] = {}
    for name, text in (*_google(lines), *_numpy(lines), *_sphinx(lines)):
        if text:
            found.setdefault(name.lstrip("*\\"), text)
    return found


def _google(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, line in enumerate(lines):
        if _GOOGLE_SECTION.fullmatch(line.strip()):
            yield from _google_entries(_indented(lines, index + 1, _indent(line)))


def _google_entries(body: Sequence[str]) -> Iterator[tuple[str, str]]:
    depth = min((_indent(line) for line in body if line.strip()), default=0)
    for index, line in enumerate(body):
        entry = _GOOGLE_ENTRY.fullmatch(line.strip()) if _indent(line) == depth else None
        if entry:
            yield entry["name"], _joined(entry["text"] or "", _indented(body, index + 1, depth))


def _numpy(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index in range(len(lines) - 1):
        if _NUMPY_SECTION.fullmatch(lines[index].strip()) and _is_underline(lines, index + 1):
            yield from _numpy_entries(lines, index + 2, _indent(lines[index]))


def _numpy_entries(lines: Sequence[str], start: int, depth: int) -> Iterator[tuple[str, str]]:
    for index in range(start, len(lines)):
        if _is_underline(lines, index + 1):
            return
        entry = _NUMPY_ENTRY.fullmatch(lines[index].strip())
        if entry and _indent(lines[index]) == depth:
            text = _joined("", _indented(lines, index + 1, depth))
            for name in entry["names"].split(","):
                yield name.strip(), text


def _sphinx(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, line in enumerate(lines):
        entry = _SPHINX_ENTRY.fullmatch(line.strip())
        if entry:
            yield entry["name"], _joined(entry["text"], _indented(lines, index + 1, _indent(line)))


def _is_underline(lines: Sequence[str], index: int) -> bool:
    return index < len(lines) and _UNDERLINE.fullmatch(lines[index].strip()) is not None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _indented(lines: Sequence[str], start: int, depth: int) -> list[str]:
    """Return the lines from `start` on that are blank or deeper than `depth`."""
    body: list[str] = []
    for line in lines[start:]:
        if line.strip() and _indent(line) <= depth:
            break
        body.append(line)
    return body


def _joined(first: str, more: Sequence[str]) -> str:
    """Return one paragraph of text; an empty line ends it."""
    words = [first.strip()]
    for line in more:
        if not line.strip():
            if any(words):
                break
            continue
        words.append(line.strip())
    return " ".join(word for word in words if word)
