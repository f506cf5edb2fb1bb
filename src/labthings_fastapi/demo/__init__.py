"""The demo bench: a simulated microscope with a picture of a real specimen.

Its Things are ordinary ones, written as examples. Start with `stage`.
"""

from __future__ import annotations
