"""Write a module with a Thing that has many affordances, half properties and half actions."""

from pathlib import Path

_HEAD = """import labthings_fastapi as lt


class Wide(lt.Thing):
    \"\"\"A Thing with many affordances.\"\"\"
"""
_PROPERTY = """
    value_{0}: float = lt.property(default={0}.0)
"""
_ACTION = """
    @lt.action
    def move_{0}(self, x: float, y: float = 0.0) -> float:
        \"\"\"Move to a place.\"\"\"
        return x + y
"""


def write_wide(folder: Path, affordances: int) -> str:
    """Write it into `folder`; return the import string of the class."""
    name = f"wide_{affordances}"
    half = affordances // 2
    parts = [_HEAD, *map(_PROPERTY.format, range(half))]
    parts += map(_ACTION.format, range(affordances - half))
    (folder / f"{name}.py").write_text("".join(parts))
    return f"{name}:Wide"
