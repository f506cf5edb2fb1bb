"""What is printed: JSON for programs, tables for people; remarks go to the standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_json


def print_json(value: Any) -> None:
    """Print one JSON document."""
    text = to_json(value, indent=2, inf_nan_mode="strings", fallback=str).decode()
    sys.stdout.write(f"{text}\n")


def print_line(value: Any) -> None:
    """Print a JSON document as one line, at once."""
    sys.stdout.write(f"{to_json(value, inf_nan_mode='strings', fallback=str).decode()}\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """Print a line as it is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def remark(text: str) -> None:
    """Tell people something that is no result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def shown(value: Any) -> str:
    """Return a value as people read it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; to a file or a pipe, a line per row with tabs between the columns."""
    texts = [["" if cell is None else shown(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in texts:
            sys.stdout.write("\t".join(" ".join(cell.split()) for cell in row) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False)
    for row in texts:
        table.add_row(*map(Text, row))
    Console().print(table)
