r"""Regular expressions that JSON Schema and we read alike; pure.

JSON Schema has the dialect of ECMAScript, and pydantic that of the Rust crate `regex`, whose `\d`
also accepts the digits of other scripts. Such classes are written out. What only one of the two
knows is refused.
"""

from __future__ import annotations

import re

from pydantic_core import SchemaError, SchemaValidator, core_schema

_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": r" \t\n\r\f\v"}
_PARTS = re.compile(r"\\.|\[\^?\]?|\]|\(\?.?|.", re.DOTALL)
_NOT_PORTABLE = {
    r"\A": "`^`",
    r"\z": "`$`",
    r"\Z": "`$`",
    r"\h": "a class such as `[0-9a-f]`",
    r"\p": "a class such as `[A-Za-z]`",
    r"\P": "a class such as `[^A-Za-z]`",
}


def portable(pattern: str) -> str:
    r"""Return a pattern that means the same in both dialects: `\d` becomes `[0-9]`.

    Raises:
        ValueError: one dialect does not know a part of it; the message says which, and the remedy.
    """
    written: list[str] = []
    in_class = False
    for match in _PARTS.finditer(pattern):
        part = match.group()
        written.append(_portable_part(part, in_class))
        if part.startswith("[") and not in_class:
            in_class = True
        elif part == "]":
            in_class = False
    found = "".join(written)
    try:
        SchemaValidator(core_schema.str_schema(pattern=found))
    except SchemaError as error:
        raise ValueError(f"the pattern {pattern!r} cannot be read: {_cause(error)}") from error
    return found


def _portable_part(part: str, in_class: bool) -> str:
    if part in ("[]", "[^]") or (in_class and part.startswith("[")):
        raise ValueError(
            f"{part!r} in a pattern is not read alike by all clients: write a bracket that stands"
            " for itself with a backslash."
        )
    if part in _NOT_PORTABLE:
        raise ValueError(
            f"JSON Schema reads {part!r} in a pattern differently. Use {_NOT_PORTABLE[part]}."
        )
    if part.startswith("(?") and part != "(?:":
        raise ValueError(
            f"the group {part!r} of a pattern is not known to every client."
            " Use plain groups, `(…)` or `(?:…)`, and write out both cases instead of `(?i)`."
        )
    if len(part) == 2 and part[0] == "\\":
        members = _CLASSES.get(part[1].lower())
        if members is None:
            return part
        if part[1].islower():
            return members if in_class else f"[{members}]"
        if in_class:
            raise ValueError(
                f"{part!r} inside of [...] is not read alike by all clients: write out the"
                " characters."
            )
        return f"[^{members}]"
    return part


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
