#!/bin/sh
# griffelib 2.4.1 reads parameters named with letters outside ASCII (λ, Δx, µ: valid Python, usual
# in physics) in Google and Sphinx docstrings, but not in NumPy docstrings: there the parameter and
# its description are lost, with only a line in the log, though Python and numpydoc accept the name.
# Seen: numpy ASCII ['wavelength'], numpy Greek [], google Greek ['λ'], sphinx Greek ['λ'].
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet griffelib==2.4.1 numpydoc==1.10.0
cat > "$folder/finding.py" <<'PYTHON'
import griffe
from numpydoc.docscrape import NumpyDocString

NUMPY = "Move.\n\nParameters\n----------\n{} : float\n    In nm.\n"
GOOGLE = "Move.\n\nArgs:\n    {}: In nm.\n"
SPHINX = "Move.\n\n:param {}: In nm.\n"


def names(style, text):
    sections = griffe.Docstring(text).parse(style)
    return [p.name for s in sections if s.kind.value == "parameters" for p in s.value]


found = {
    "numpy ASCII": names("numpy", NUMPY.format("wavelength")),
    "numpy Greek": names("numpy", NUMPY.format("λ")),
    "google Greek": names("google", GOOGLE.format("λ")),
    "sphinx Greek": names("sphinx", SPHINX.format("λ")),
    "numpydoc Greek": [p.name for p in NumpyDocString(NUMPY.format("λ"))["Parameters"]],
}
print(found)
assert found == {
    "numpy ASCII": ["wavelength"],
    "numpy Greek": [],
    "google Greek": ["λ"],
    "sphinx Greek": ["λ"],
    "numpydoc Greek": ["λ"],
}
PYTHON
PYTHONIOENCODING=utf-8 "$folder/venv/bin/python" "$folder/finding.py"
