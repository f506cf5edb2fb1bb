"""The results of a run as a table of pandas, which is imported when one is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from labthings_fastapi.exceptions import ClientError
from labthings_fastapi.outputs.tables import Column, Columns, described_columns, found_columns

from .problems import request_error
from .steps import Answer, Request, Steps

if TYPE_CHECKING:
    import pandas as pd

    from .protocol import RunState, ThingProtocol

TABLE_SECONDS: Final = 60.0
DROPPED: Final = "labthings-results-dropped"
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def require_pandas() -> None:
    """Do nothing if pandas is there.

    Raises:
        ImportError: it is not; the text says how to get it.
    """
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise ImportError("to_pandas() needs pandas: `pip install pandas`.") from error


def kept_results(protocol: ThingProtocol, run: RunState) -> Steps[tuple[list[Any], int]]:
    """Get the values of a run that the server still keeps, and how many it no longer keeps.

    Raises, in the generator, `ClientError` if there are none.
    """
    output = run.link("output")
    if output is not None and protocol.is_ours and output.endswith("/output"):
        url = protocol.description.resolve(output.removesuffix("output") + "results")
        answer: Answer = yield Request("GET", url, headers=protocol.accept, seconds=TABLE_SECONDS)
        if not answer.ok:
            raise request_error(answer, f"The results of run {run.id} of action {run.action}")
        values = yield from protocol.filled(answer.json())
        return values, int(answer.headers.get(DROPPED, "0"))
    values = run.members.get("output")
    if not isinstance(values, list):
        raise ClientError(f"Run {run.id} of action {run.action} has no results: no list of values.")
    return values, int(run.members.get("resultsDropped", 0))


def frame_of(values: list[Any], dropped: int, schema: Any) -> pd.DataFrame:
    """Return a table of values; `schema` is the data schema of the output, a list."""
    import pandas as pd

    items = schema.get("items") if isinstance(schema, Mapping) else None
    columns = described_columns(items) if isinstance(items, Mapping) else None
    if columns is None:
        columns = found_columns(values, open=False)
    rows = [columns.row(value) for value in values]
    frame = pd.DataFrame({each.name: _series(each, rows, columns) for each in columns.listed})
    frame.attrs["results_dropped"] = dropped
    return frame


def _series(column: Column, rows: list[list[Any]], columns: Columns) -> pd.Series[Any]:
    import pandas as pd

    index = columns.listed.index(column)
    cells = [row[index] for row in rows]
    if column.kind == "number":
        numbers = [_NOT_FINITE.get(each, each) if isinstance(each, str) else each for each in cells]
        return pd.Series(numbers, dtype="float64")
    if column.kind == "time":
        return pd.to_datetime(pd.Series(cells, dtype="object"), utc=True, format="ISO8601")
    if column.kind == "integer" and None not in cells:
        return pd.Series(cells, dtype="int64")
    if column.kind == "boolean" and None not in cells:
        return pd.Series(cells, dtype="bool")
    return pd.Series(cells, dtype="object" if column.kind == "json" else None)
