"""The demo bench: a microscope with a real specimen and a simulated stage.

The Things here are ordinary ones, written to be read and copied. Start with `stage`.
"""

from __future__ import annotations
