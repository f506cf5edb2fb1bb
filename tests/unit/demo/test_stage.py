"""The simulated stage moves in real time, keeps to its limits, and can be stopped."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import ValidationError

import labthings_fastapi as lt
from labthings_fastapi.actions.context import fake_invocation_context, get_cancel_event
from labthings_fastapi.demo.motion import Position
from labthings_fastapi.demo.stage import Stage, StageStoppedError
from labthings_fastapi.exceptions import InvocationCancelledError, InvocationError


@pytest.fixture
def stage():
    """A stage that needs a few steps for a micrometre or two."""
    stage = Stage()
    stage.speed = 50
    return stage


@pytest.fixture
def moving(stage, wait_until):
    """The future of a move of the stage that would take a minute and a half, and has begun."""
    stage.speed = 1
    with ThreadPoolExecutor() as pool:
        move = pool.submit(stage.move_to, x=90)
        wait_until(lambda: stage.position.x > 0)
        try:
            yield move
        finally:
            stage.stop()


def test_a_move_ends_exactly_at_its_target(stage):
    target = Position(x=1, y=-2, z=0.5)
    assert stage.move_to(x=1, y=-2, z=0.5) == target
    assert stage.position == target
    assert not stage.moving


def test_an_axis_that_is_left_out_stays(stage):
    stage.move_to(x=1, y=2)
    assert stage.move_to(y=0) == Position(x=1)


def test_moves_by_a_distance_add_up(stage):
    stage.move_by(dx=1, dz=-1)
    assert stage.move_by(dx=0.5, dy=1) == Position(x=1.5, y=1, z=-1)


def test_home_is_the_middle_of_all_axes(stage):
    stage.move_to(1, 1, 1)
    assert stage.home() == Position()


def test_during_a_move_the_position_is_between_start_and_target(stage, moving):
    assert 0 < stage.position.x < 90
    assert stage.moving
    assert not moving.done()


def test_a_target_out_of_reach_is_refused_before_anything_moves(stage):
    with pytest.raises(ValueError, match=r"z = 101 µm.* from -100 to 100 µm"):
        stage.move_to(x=1, z=101)
    assert stage.position == Position()
    assert not stage.moving


def test_a_second_move_waits_and_does_not_begin_after_an_emergency_stop(stage, moving):
    with ThreadPoolExecutor() as pool:
        second = pool.submit(stage.move_to, x=0)
        stage.stop()
        assert "ended this move" in str(moving.exception(timeout=30))
        assert "release it first" in str(second.exception(timeout=30))
    assert 0 < stage.position.x < 90


def test_an_emergency_stop_ends_the_move_in_an_error(stage, moving):
    stage.stop()
    with pytest.raises(StageStoppedError, match="emergency stop") as error:
        moving.result(timeout=30)
    assert isinstance(error.value, InvocationError)
    assert not stage.moving
    assert 0 < stage.position.x < 90


def test_an_emergency_stop_between_two_moves_prevents_the_second(stage):
    stage.move_to(x=1)
    stage.stop()
    assert stage.stopped
    with pytest.raises(StageStoppedError, match="release it first"):
        stage.move_to(x=2)
    assert stage.position == Position(x=1)


def test_once_released_the_stage_moves_again(stage, moving):
    stage.stop()
    assert moving.exception(timeout=30)
    stage.release()
    assert not stage.stopped
    assert stage.move_by(dx=0.01).x < 90


@pytest.fixture
def cancelled(stage):
    """An invocation that was cancelled during a move."""
    stage.speed = 1
    with fake_invocation_context():
        get_cancel_event().set()
        with pytest.raises(InvocationCancelledError):
            stage.move_to(x=100)
        yield


def test_the_safe_state_is_at_rest(stage, cancelled):
    assert stage.moving
    stage.safe_state()
    assert not stage.moving
    resting = stage.position
    assert resting.x < 100
    assert stage.position == resting


def test_a_failed_invocation_does_not_stop_the_move_of_another(stage, cancelled):
    with fake_invocation_context():
        stage.safe_state()
    assert stage.moving


def test_a_move_downwards_goes_below_its_target_and_arrives_from_there(stage, wait_until):
    stage.speed, stage.backlash = 5000, 20
    stage.move_to(z=2)
    stage.speed = 10  # it is below for seconds, and seen there
    with ThreadPoolExecutor() as pool:
        move = pool.submit(stage.move_to, z=0)
        wait_until(lambda: stage.position.z < -1)
        stage.speed = 5000
        assert move.result(timeout=30) == Position()
    assert stage.position == Position()


def test_a_move_sideways_takes_no_detour(stage):
    stage.speed, stage.backlash = 5000, 20
    heights = []
    stage.properties["position"].observe(lambda position: heights.append(position.z))
    stage.move_to(x=1)
    assert not any(heights)


def test_the_lowest_height_can_be_reached_though_nothing_lies_below(stage):
    stage.speed = 5000
    assert stage.move_to(z=-100) == Position(z=-100)


def test_a_cancel_waits_for_the_end_of_an_approach(stage):
    """From as far below as the backlash, the whole move is the approach."""
    with fake_invocation_context():
        get_cancel_event().set()
        with pytest.raises(InvocationCancelledError):
            stage.move_by(dz=stage.backlash)
        stage.safe_state()
    assert stage.position == Position(z=stage.backlash)


def test_an_emergency_stop_ends_an_approach_too(stage, wait_until):
    stage.speed, stage.backlash = 0.5, 20
    with ThreadPoolExecutor() as pool:
        approach = pool.submit(stage.move_by, dz=20)
        wait_until(lambda: stage.position.z > 0)
        stage.stop()
        assert isinstance(approach.exception(timeout=30), StageStoppedError)
    assert 0 < stage.position.z < 20


def test_the_backlash_is_kept_when_the_server_starts_again(tmp_path):
    def start():
        return lt.ThingServer.from_things({"stage": Stage}, settings_folder=tmp_path).things[
            "stage"
        ]

    start().backlash = 5
    assert start().backlash == 5


@pytest.mark.parametrize("distance", [math.inf, math.nan])
def test_a_distance_that_is_no_finite_number_moves_nothing(stage, distance):
    for move in (stage.move_to, stage.move_by, stage.jog):
        with pytest.raises(ValueError, match=r"out of reach|finite number"):
            move(distance)
    assert (stage.position, stage.moving) == (Position(), False)


@pytest.mark.parametrize("speed", [0, -1, 5001, math.nan, math.inf])
def test_an_impossible_speed_is_refused(stage, speed):
    with pytest.raises(ValidationError):
        stage.speed = speed
    assert stage.speed == 50
