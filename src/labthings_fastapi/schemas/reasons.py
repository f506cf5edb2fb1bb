"""Why pydantic refused a type, without advice that does not help the author of a Thing."""

from __future__ import annotations

import re

from labthings_fastapi.exceptions import describe_exception

_ADVICE = re.compile(r"\.? (?:Set `arbitrary_types_allowed|If you got this error|For further).*")


def reason(error: Exception) -> str:
    """Return the class and the message of an error in one line."""
    return _ADVICE.sub("", " ".join(describe_exception(error).split()))
