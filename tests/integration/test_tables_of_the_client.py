"""Results of runs as tables of pandas."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ClientError

NOON = datetime(2026, 5, 1, 12, 0, 0, 250000, tzinfo=UTC)


class Place(BaseModel):
    x: float
    y: float = 0


class Point(BaseModel):
    index: int
    place: Place
    time: datetime
    value: float | None = None
    good: bool = True


class Scanner(lt.Thing):
    """Yields rows."""

    @lt.action
    def scan(self, n: int = 3) -> Iterator[Point]:
        for index in range(n):
            value = math.nan if index == 1 else 0.5
            yield Point(index=index, place=Place(x=index), time=NOON, value=value)

    @lt.action
    def untyped(self) -> Iterator[Any]:
        yield {"a": 1}
        yield {"b": {"c": "x"}}

    @lt.action
    def images(self) -> Iterator[Any]:
        yield {"index": 1, "image": np.zeros((200, 200))}

    @lt.action(synchronous=True)
    def listed(self) -> list[Place]:
        return [Place(x=1, y=2)]

    @lt.action
    def nothing(self) -> None:
        pass


@pytest.fixture
def url(running_server: Any) -> str:
    server = lt.ThingServer.from_things({"scanner": Scanner})
    return f"http://127.0.0.1:{running_server(server.app).port}/scanner/"


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with lt.ThingClient.from_url(url) as client:
        yield client


def ended(run: Any) -> Any:
    assert run.wait(30)
    return run


def test_a_table_has_typed_columns(client: Any) -> None:
    table = ended(client.start.scan()).to_pandas()
    assert list(table.columns) == ["index", "place.x", "place.y", "time", "value", "good"]
    kinds = {name: str(dtype) for name, dtype in table.dtypes.items()}
    assert kinds["index"] == "int64"
    assert kinds["value"] == kinds["place.x"] == "float64"
    assert kinds["good"] == "bool"
    assert table["time"][0] == NOON
    assert table["value"].isna().tolist() == [False, True, False]
    assert table.attrs["results_dropped"] == 0


def test_a_table_without_rows_has_its_columns(client: Any) -> None:
    table = ended(client.start.scan(n=0)).to_pandas()
    assert len(table) == 0
    assert "place.x" in table.columns


def test_values_without_a_hint_have_all_their_members(client: Any) -> None:
    table = ended(client.start.untyped()).to_pandas()
    assert list(table.columns) == ["a", "b.c"]
    assert table["b.c"].tolist()[1] == "x"


def test_large_arrays_are_in_the_cells(client: Any) -> None:
    assert np.shape(ended(client.start.images()).to_pandas()["image"][0]) == (200, 200)


def test_an_output_that_is_a_list_is_a_table_too(client: Any) -> None:
    assert client.start.listed().to_pandas()["y"].tolist() == [2.0]


def test_a_run_without_values_has_no_table(client: Any) -> None:
    with pytest.raises(ClientError, match="no results"):
        ended(client.start.nothing()).to_pandas()


def test_without_pandas_the_error_says_what_to_install(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(client.start.scan())
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        run.to_pandas()


def test_an_asynchronous_client_has_tables(url: str) -> None:
    async def use() -> Any:
        async with await lt.AsyncThingClient.from_url(url) as client:
            run = await client.start.scan()
            assert await run.wait(30)
            return await run.to_pandas()

    assert len(asyncio.run(use())) == 3
