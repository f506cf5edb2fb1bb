#!/bin/sh
# pydantic 2.14.4 takes `numpy.typing.NDArray[np.uint16]` with `arbitrary_types_allowed`, and one would
# expect it to refuse a float array, or the hint. It checks `isinstance(value, np.ndarray)` only: dtype
# and shape of the hint are dropped without a word, and JSON lists are refused although the type is
# there. Seen: float64 accepted, 3 axes accepted for 2, a list and JSON refused, no JSON schema.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pydantic==2.14.4 numpy==2.4.6
cat > "$folder/finding.py" <<'PYTHON'
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema


class Frame(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    counts: npt.NDArray[np.uint16]
    points: np.ndarray[tuple[int, Literal[3]], np.dtype[np.float64]]


def accepts(counts, points):
    try:
        found = Frame(counts=counts, points=points)
    except ValidationError:
        return False
    return found.counts.dtype.name, found.points.shape


good = np.zeros(2, np.uint16), np.zeros((4, 3))
found = {
    "as hinted": accepts(*good),
    "another dtype": accepts(np.array([0.5, -1.0]), good[1]),
    "another shape": accepts(good[0], np.zeros((2, 2, 2))),
    "a list": accepts([1, 2], good[1]),
}
try:
    Frame.model_json_schema()
    found["schema"] = True
except PydanticInvalidForJsonSchema:
    found["schema"] = False
print(found)
assert found == {
    "as hinted": ("uint16", (4, 3)),
    "another dtype": ("float64", (4, 3)),
    "another shape": ("uint16", (2, 2, 2)),
    "a list": False,
    "schema": False,
}
PYTHON
"$folder/venv/bin/python" "$folder/finding.py"
