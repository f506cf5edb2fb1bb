"""What JSON parsers let pass and the standard does not (RFC 8259); pure.

Python's parsers read `NaN`, turn `1e999` into an infinity, and keep the last of two members with
one name. A stage must not move by such a text, so it is refused as malformed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from labthings_fastapi.exceptions import BodyTooLargeError

_UNUSUAL = re.compile(rb"NaN|Infinity|[eE]\+?\d{3}|\d{200}")
"""Where a number may be none: in most texts this is found nowhere, and no more is done."""
_LONGEST_UNUSUAL = 200
_KINDS = bytes.maketrans(b"123456789E", b"000000000e")
"""Makes all digits alike: a long text is then searched for texts, which is ten times as fast."""
_PIECE = 64 * 1024
"""Bytes that are searched at once: a search lets no other thread run, and a text may have 16 MB."""
_STRINGS = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:"\s*+(:?)|\\?\Z)', re.DOTALL)
"""A string, and whether a colon follows; or what is there of one that the piece does not end."""
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_COLON = re.compile(rb"\s*+:")
_LONGEST = 40
LARGE: Final = 64 * 1024
"""A longer text (bytes) is parsed off the event loop, and has a budget."""
MANY_ERRORS: Final = 8 * 1024
"""In a longer text (bytes), only the first error of each array and dictionary is looked for."""
MOST_ITEMS: Final = 200_000
MOST_NAMES: Final = 50_000
"""The budget of one text: parsers stop all threads meanwhile, a cancel must not wait for them."""
_BACKSLASH: Final = ord("\\")
_QUOTES_PER_ITEM: Final = 4


def has_unusual_number(text: bytes) -> bool:
    """Return True if a text may hold a number that is none."""
    if len(text) <= _PIECE:
        return _UNUSUAL.search(text) is not None
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE + _LONGEST_UNUSUAL]
        kinds = piece.translate(_KINDS)
        if (
            b"NaN" in piece
            or b"Infinity" in piece
            or b"e000" in kinds
            or b"e+000" in kinds
            or b"0" * _LONGEST_UNUSUAL in kinds
        ):
            return True
    return False


def check_budget(text: bytes, where: str) -> None:
    """Refuse a text with more items and members than may be parsed at once.

    Raises:
        BodyTooLargeError: it has too many.
    """
    if text.count(b",") <= MOST_ITEMS and text.count(b":") <= MOST_NAMES:
        return  # the usual case: commas in strings count here as well
    if _is_over_budget(text):
        raise BodyTooLargeError(
            f"{where}: the JSON has more than {MOST_ITEMS} items or {MOST_NAMES} members, the most "
            "that is accepted at once. Send large data as a file or a blob, or in several requests."
        )


def _is_over_budget(text: bytes) -> bool:
    if text.count(b'"') > _QUOTES_PER_ITEM * MOST_ITEMS:
        return True
    items = names = start = 0
    while True:
        quote = text.find(b'"', start)
        end = quote if quote >= 0 else len(text)
        items += text.count(b",", start, end)
        names += text.count(b":", start, end)
        if items > MOST_ITEMS or names > MOST_NAMES:
            return True
        if quote < 0:
            return False
        start = _end_of_string(text, quote + 1)


def _end_of_string(text: bytes, start: int) -> int:
    """Return the place behind the quote that ends a string, which follows no odd backslash."""
    end = text.find(b'"', start)
    while end >= 0:
        before = end
        while before > start and text[before - 1] == _BACKSLASH:
            before -= 1
        if (end - before) % 2 == 0:
            return end + 1
        end = text.find(b'"', end + 1)
    return len(text)


def defect(text: bytes) -> str | None:
    """Return what makes a text no JSON although parsers accept it, or None.

    The text of a usual value is searched once and not parsed.
    """
    if has_unusual_number(text) or (text.count(b":") > 1 and _may_repeat_names(text)):
        try:
            json.loads(
                text,
                parse_constant=_not_a_number,
                parse_float=_finite,
                object_pairs_hook=_without_repetition,
            )
        except RecursionError:
            return "it is nested too deeply"
        except ValueError as error:
            return str(error)
    return None


def _may_repeat_names(text: bytes) -> bool:
    found = set()
    for name in _names(text):
        if name in found or b"\\" in name:
            return True
        found.add(name)
    return False


def _names(text: bytes) -> Iterator[bytes]:
    """Yield what stands between the quotes of each member's name."""
    size, start = len(text), 0
    while start < size:
        end, done = min(start + _PIECE, size), start
        for string in _STRINGS.finditer(text, start, end):
            if string.end() == end < size or string[2] is None:
                break  # what follows decides where it ends, and whether it is a name
            done = string.end()
            if string[2]:
                yield string[1]
        if done > start:
            start = done
            continue
        quote = text.find(b'"', start)
        if quote < 0:
            return
        if quote == start:  # a string that is longer than the piece
            after = _end_of_content(text, quote + 1)
            if _COLON.match(text, after + 1):
                yield text[quote + 1 : after]
            quote = after + 1
        start = quote


def _end_of_content(text: bytes, start: int) -> int:
    """Return the place of the quote that ends a string; if there is none, where it breaks off."""
    end = text.find(b'"', start)
    if end >= 0 and text[end - 1] != _BACKSLASH:
        return end  # the usual string
    end = start
    while match := _IN_STRING.match(text, end, end + _PIECE):
        if match.end() == end:
            break
        end = match.end()
    return end


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(f'{constant} is no JSON: send the string "{constant}"')


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:_LONGEST]} is larger than any number that can be represented")
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member {name[:_LONGEST]!r} is there twice")
