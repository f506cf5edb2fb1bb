"""A tile scan covers a piece of the specimen, picture by picture."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi.demo.camera import Camera
from labthings_fastapi.demo.motion import Position
from labthings_fastapi.demo.optics import focal_height
from labthings_fastapi.demo.scanner import TileScan, snake
from labthings_fastapi.demo.stage import Stage


def test_the_snake_goes_there_and_back():
    assert list(snake(3, 2)) == [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1)]


def test_the_tiles_lie_around_the_present_position_and_the_stage_comes_back(bench):
    bench["stage"].move_to(x=50, y=-20)
    tiles = list(bench["scan"].scan(columns=2, rows=2, overlap=0.2))
    assert [(t.column, t.row) for t in tiles] == [(0, 0), (1, 0), (1, 1), (0, 1)]
    assert [(t.x, t.y) for t in tiles] == [(-30, -80), (130, -80), (130, 40), (-30, 40)]
    assert all(t.image.media_type == "image/jpeg" for t in tiles)
    assert bench["stage"].position == Position(x=50, y=-20)


def test_a_scan_that_leaves_the_limits_is_refused_before_anything_moves(bench):
    with pytest.raises(ValueError, match=r"x = -810 µm .* from -500 to 500 µm"):
        list(bench["scan"].scan(columns=10, rows=1))
    assert bench["stage"].position == Position()


def test_each_tile_can_be_focused(bench):
    [tile] = bench["scan"].scan(columns=1, rows=1, focus=True)
    assert bench["stage"].position.z == pytest.approx(focal_height(tile.x, tile.y), abs=1)


def test_without_an_autofocus_a_scan_works_and_a_focused_one_fails_with_the_reason(tmp_path):
    things = {"stage": Stage, "camera": Camera, "scan": TileScan}
    server = lt.ThingServer.from_things(things, settings_folder=str(tmp_path))
    scanner = server.things["scan"]
    assert len(list(scanner.scan(columns=1, rows=1))) == 1
    with pytest.raises(lt.exceptions.InvocationError, match="no autofocus"):
        list(scanner.scan(focus=True))
