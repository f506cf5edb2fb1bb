"""A clear error message if the libraries for the demo are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def demo_extra() -> Iterator[None]:
    """Add to the error of a missing import how to install the `demo` extra."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"The demo bench needs {error.name}. Install the extra 'demo' "
            "(in the checkout: pip install '.[demo]').",
            name=error.name,
        ) from error
