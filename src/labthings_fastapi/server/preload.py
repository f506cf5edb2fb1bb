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
    if f"{__package__}.web.uvicorn_server" in sys.modules:
        return
    collects = gc.isenabled()
    gc.disable()
    try:
        from labthings_fastapi.server import routes  # noqa: F401 - loading is the point
        from labthings_fastapi.server.config import validation  # noqa: F401
        from labthings_fastapi.server.openapi import document  # noqa: F401
        from labthings_fastapi.server.web import uvicorn_server  # noqa: F401
    finally:
        gc.freeze()
        if collects:
            gc.enable()
