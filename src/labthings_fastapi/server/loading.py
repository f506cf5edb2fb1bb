"""Load the modules of a server sooner."""

from __future__ import annotations

import gc
import sys


def load_modules() -> None:
    """Load most of what a server is built of and served with, for a process that is one server.

    While objects are made, Python looks for garbage among them again and again. What modules make
    stays: nothing is looked for while they load, and they are kept out of later collections. If
    they are loaded already, nothing is done.
    """
    if f"{__package__}.uvicorn_server" in sys.modules:
        return
    collects = gc.isenabled()
    gc.disable()
    try:
        from . import openapi, review, routes, uvicorn_server  # noqa: F401 - loading is the point
    finally:
        gc.freeze()
        if collects:
            gc.enable()
