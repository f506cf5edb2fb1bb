"""The demo's scan leaves one picture of all its tiles, also when it is cancelled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tifffile

import labthings_fastapi as lt
from labthings_fastapi.demo.camera import RESOLUTION, Camera
from labthings_fastapi.demo.mosaic import FILE_NAME, Mosaic
from labthings_fastapi.demo.scanner import TileScan
from labthings_fastapi.demo.specimen import PIXEL_SIZE
from labthings_fastapi.demo.stage import Stage


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    things = {"stage": Stage, "camera": {"cls": Camera, "kwargs": {"seed": 1}}, "scan": TileScan}
    server = lt.ThingServer.from_things(things, settings_folder=tmp_path / "settings")
    with server.test_client() as client:
        client.put("/stage/speed", json=5000)
        client.put("/camera/exposure", json=1)
        yield client


def picture_of(client: Any, run: str, folder: Path) -> Any:
    answer = client.get(f"/action_invocations/{run}/files/{FILE_NAME}")
    assert answer.status_code == 200
    path = folder / FILE_NAME
    path.write_bytes(answer.content)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        assert pixels["PhysicalSizeX"] == pixels["PhysicalSizeY"] == pytest.approx(PIXEL_SIZE)
        return file.asarray()


def test_a_scan_leaves_its_tiles_as_one_picture(client: Any, tmp_path: Path) -> None:
    size = {"columns": 2, "rows": 2, "overlap": 0.25}
    run = client.post("/scan/scan", json=size, headers={"Prefer": "wait=60"}).json()
    picture = picture_of(client, run["id"], tmp_path)
    width, height = RESOLUTION
    assert picture.shape == (height + height * 3 // 4, width + width * 3 // 4, 3)
    assert (picture.reshape(-1, 3).max(axis=1) > 0).mean() > 0.99


def test_a_cancelled_scan_leaves_the_tiles_so_far(client: Any, tmp_path: Path) -> None:
    client.put("/camera/exposure", json=200)
    started = client.post("/scan/scan", json={"columns": 3, "rows": 2, "overlap": 0}).json()
    run = f"/action_invocations/{started['id']}"
    pause = threading.Event()
    for _ in range(3000):
        if (client.get(run).json()["progress"] or 0) > 30:  # the first of six tiles is there
            break
        pause.wait(0.01)
    client.delete(run)
    assert client.get(run, headers={"Prefer": "wait=60"}).json()["status"] == "cancelled"
    picture = picture_of(client, started["id"], tmp_path)
    height, width = picture.shape[0] // 2, picture.shape[1] // 3
    assert picture[:height, :width].max() > 0
    assert picture[height:].max() == 0


def test_a_tile_beside_the_mosaic_is_cut(tmp_path: Path) -> None:
    import numpy as np

    mosaic = Mosaic(tmp_path, 0.0, 0.0, width=40, height=30)
    tile = np.full((20, 20, 3), 7, np.uint8)
    mosaic.put(tile, 0.0, 0.0)  # a quarter of it
    mosaic.put(tile, 1000.0, 1000.0)  # nothing of it
    found = tifffile.imread(mosaic.path)
    assert (found[:10, :10] == 7).all()
    assert found[10:].max() == found[:, 10:].max() == 0
