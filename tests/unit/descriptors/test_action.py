"""A method that clients can invoke."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, Request
from pydantic import AfterValidator, BaseModel, Field

import labthings_fastapi as lt
from labthings_fastapi.actions import ActionManager
from labthings_fastapi.descriptors.action import ActionDescriptor
from labthings_fastapi.exceptions import AffordanceDefinitionError


class Model(BaseModel):
    n: int = 1


def same(value: int) -> int:
    return value


def something() -> int:
    return 1


class Stage(lt.Thing):
    @lt.action
    def move(self, x: float, y: float = 0) -> float:
        """Move it.

        Args:
            x: Where to.
            y: And where to across.
        """
        return x + y

    @lt.action(retention_time=5, response_timeout=2, synchronous=True, safe=True, idempotent=True)
    def look(self) -> None:
        """Look."""

    @lt.action
    def loose(self, **settings) -> Any:
        return settings

    @lt.action
    def typed(self, **settings: Annotated[int, AfterValidator(same)]) -> None: ...

    @lt.action
    def checked(self, n: Annotated[int, AfterValidator(same)] = 1) -> None: ...

    @lt.action
    def bounded(self, n: Annotated[int, Field(gt=0)] = 1) -> None: ...

    @lt.action
    def made(self, n: Annotated[int, Field(default_factory=something)]) -> None: ...

    @lt.action
    def model(self, m: Model) -> None: ...

    @lt.action
    def scan(self, n: int) -> Iterator[int]:
        yield n

    @lt.action
    def injected(
        self,
        request: Request,
        tasks: BackgroundTasks,
        number: Annotated[int, Depends(something)],
        other: int = Depends(something),
        n: int = 3,
    ) -> int:
        return n


def test_on_an_instance_it_is_the_bound_method_and_on_the_class_itself():
    stage = Stage()
    assert stage.move(1, y=2) == 3
    assert stage.move.__self__ is stage
    assert isinstance(Stage.move, ActionDescriptor)
    assert list(stage.actions) == list(Stage.actions)


def test_options_and_texts_are_kept():
    look, move = Stage.look, Stage.move
    assert (look.retention_time, look.response_timeout, look.synchronous) == (5, 2, True)
    assert (look.safe, look.idempotent) == (True, True)
    assert (move.retention_time, move.response_timeout, move.synchronous) == (300, 1, False)
    assert (move.name, move.title, move.where) == ("move", "Move it.", "Stage.move")


def test_the_input_model_has_the_parameters():
    fields = Stage.move.input_model.model_fields
    assert list(fields) == ["x", "y"]
    assert fields["x"].description == "Where to."
    assert Stage.move.requires_input is True
    assert (Stage.bounded.takes_input, Stage.bounded.requires_input) == (True, False)
    assert Stage.look.takes_input is False
    assert Stage.loose.takes_input is True


def test_what_fastapi_injects_is_no_input():
    assert list(Stage.injected.dependency_params) == ["request", "tasks", "number", "other"]
    assert list(Stage.injected.input_model.model_fields) == ["n"]
    assert dict(Stage.move.dependency_params) == {}


@pytest.mark.parametrize(
    ("name", "quick"),
    [
        ("move", True),
        ("look", True),
        ("loose", True),
        ("bounded", True),
        ("typed", True),
        ("checked", False),
        ("made", False),
        ("model", False),
    ],
)
def test_input_is_quick_only_where_no_code_of_a_user_takes_part(name, quick):
    assert getattr(Stage, name).quick_input is quick


def test_a_generator_gives_a_list_of_what_it_yields():
    assert Stage.scan.output_model == list[int]
    assert Stage.scan.result_schema.hint is int
    assert Stage.scan.collects_results is True
    assert Stage.move.result_schema is None


def test_an_unknown_concurrency_is_refused():
    with pytest.raises(AffordanceDefinitionError, match=r"sideways.*parallel"):
        lt.action(concurrency="sideways")(lambda self: None)


def test_arguments_without_names_are_refused_at_decoration():
    with pytest.raises(AffordanceDefinitionError, match="args"):

        class Wrong(lt.Thing):
            @lt.action
            def go(self, *args): ...


def test_the_invocation_model_is_typed():
    fields = Stage.move.invocation_model.model_fields
    assert fields["input"].annotation is Stage.move.input_model


def test_the_error_for_a_group_without_a_policy_lists_the_policies():
    with pytest.raises(AffordanceDefinitionError, match=r"group='axes'.*queue.*reject.*replace"):
        lt.action(group="axes")(lambda self: None)
    assert lt.action(group="axes", concurrency="queue")(lambda self: None).group == "axes"


class Handed(lt.Thing):
    """Plain methods that hand on what another one makes."""

    @lt.action
    def generator(self, n: int) -> Iterator[int]:
        return (value * 2 for value in range(n))

    @lt.action
    def iterator(self) -> Iterator[int]:
        return iter(["1", 2])

    @lt.action
    def listed(self) -> list[int]:
        return [1]


def test_a_plain_method_may_promise_an_iterator():
    assert Handed.generator.output_model == list[int]
    assert Handed.generator.result_schema.hint is int
    assert Handed.generator.collects_results is True
    assert Handed.listed.result_schema is None


@pytest.mark.parametrize(
    ("name", "given", "expected", "results"),
    [("generator", {"n": 3}, [0, 2, 4], 3), ("iterator", {}, [1, 2], 0), ("listed", {}, [1], 0)],
)
def test_what_it_hands_on_becomes_the_output(name, given, expected, results):
    manager, handed = ActionManager(), Handed()
    action = Handed.actions[name]
    run = manager.invoke_action(action, handed, input=action.input_model(**given))
    run.join(30)
    assert (run.output, len(run.results)) == (expected, results)


def test_the_name_can_be_read_before_there_is_a_class():
    def go(self) -> None:
        """Drive."""

    action = lt.action(go)
    assert action.name == "go"
    stage = type("Stage", (lt.Thing,), {"go": action})
    assert stage.actions["go"].name == "go"
