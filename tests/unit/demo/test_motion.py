"""Positions, limits and moves: the mechanics without hardware."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from labthings_fastapi.demo.motion import Limits, Move, Position

coordinate = st.floats(-100, 100)
positions = st.builds(Position, x=coordinate, y=coordinate, z=coordinate)


def test_an_axis_that_is_none_stays():
    assert Position(x=1, y=2, z=3).with_axes(x=9, y=None, z=0) == Position(x=9, y=2, z=0)


def test_a_shift_adds_to_each_axis():
    assert Position(x=1, y=2, z=3).shifted(1, -2, 0.5) == Position(x=2, y=0, z=3.5)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize("value", [-501.0, 501.0])
def test_a_position_out_of_reach_is_refused_by_name_value_and_limits(axis, value):
    limits = Limits(z=(-500, 500))
    with pytest.raises(ValueError, match=rf"{axis} = {value:g} µm.* from -500 to 500 µm"):
        limits.check(Position(**{axis: value}))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_coordinate_is_a_finite_number(value):
    with pytest.raises(ValidationError, match="finite number"):
        Position(x=value)
    with pytest.raises(ValueError, match=rf"x = {value:g} µm is out of reach"):
        Limits().check(Position().with_axes(x=value))


def test_the_limits_themselves_are_within_reach():
    limits = Limits()
    limits.check(Position(x=limits.x[0], y=limits.y[1], z=limits.z[0]))


def test_half_way_through_its_time_a_move_is_half_way():
    move = Move(Position(), Position(x=30, y=40), speed=10, began=100)
    assert move.duration == 5
    assert move.remaining(102.5) == 2.5
    assert move.position(102.5) == Position(x=15, y=20)


@given(positions, positions, st.floats(0.1, 1000), st.floats(0, 2))
def test_a_move_keeps_to_the_straight_line_and_ends_exactly(start, target, speed, share):
    move = Move(start, target, speed, began=7)
    here = move.position(7 + share * move.duration)
    detour = start.distance(here) + here.distance(target)
    assert detour == pytest.approx(start.distance(target), abs=1e-6)
    assert move.position(7 + 1.001 * move.duration + 1e-6) == target


def test_a_move_to_where_the_stage_is_takes_no_time():
    move = Move(Position(z=5), Position(z=5), speed=1, began=0)
    assert move.remaining(0) == 0
    assert move.position(0) == Position(z=5)
