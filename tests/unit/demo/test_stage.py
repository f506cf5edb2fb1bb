"""The stage moves in real time, keeps to its limits, and stops when it is told to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import ValidationError

from labthings_fastapi.actions.context import fake_invocation_context, get_cancel_event
from labthings_fastapi.demo.motion import Position
from labthings_fastapi.demo.stage import Stage, StageBusyError, StageStoppedError
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


def test_a_second_move_is_refused_and_the_first_goes_on(stage, moving):
    with pytest.raises(StageBusyError, match="already moving"):
        stage.move_by(dx=1)
    assert stage.moving
    assert not moving.done()


def test_an_emergency_stop_ends_the_move_in_an_error(stage, moving):
    stage.stop()
    with pytest.raises(StageStoppedError, match="emergency stop") as error:
        moving.result(timeout=10)
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
    assert moving.exception(timeout=10)
    stage.release()
    assert not stage.stopped
    assert stage.move_by(dx=0.01).x < 90


def test_a_cancelled_move_leaves_the_stage_where_it_is(stage):
    stage.speed = 1
    with fake_invocation_context():
        get_cancel_event().set()
        with pytest.raises(InvocationCancelledError):
            stage.move_to(x=100)
    assert not stage.moving
    assert stage.position.x < 100
    resting = stage.position
    assert stage.position == resting


@pytest.mark.parametrize("speed", [0, -1, 5001])
def test_an_impossible_speed_is_refused(stage, speed):
    with pytest.raises(ValidationError):
        stage.speed = speed
    assert stage.speed == 50
