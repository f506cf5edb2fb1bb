"""The parts of `compare.py` and `soak.py`: servers, load, rows and reports."""
