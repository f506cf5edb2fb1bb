"""A clear message when the libraries that only the demo needs are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def demo_extra() -> Iterator[None]:
    """Import libraries of the `demo` extra: a missing one is an error that says how to get it."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"The demo bench needs {error.name}. "
            'Install it with: pip install "labthings-fastapi[demo]"',
            name=error.name,
        ) from error
