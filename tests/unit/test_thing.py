"""The base class of everything that a server offers."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    AffordanceNotFoundError,
    NoInvocationContextError,
)
from labthings_fastapi.thing import endpoints_of, slots_of


class Stage(lt.Thing):
    """A stage.

    With three axes.
    """

    speed: float = lt.property(default=1.0, unit="mm/s")
    other: Stage | None = lt.thing_slot()

    @lt.action
    def move(self) -> None: ...

    @lt.endpoint("get")
    def picture(self) -> None: ...


class Silent(Stage):
    def __init__(self):
        self.port = 1


class Titled(Stage):
    title = "Left stage"


def test_without_a_server_it_works_and_has_the_name_of_its_class():
    stage = Stage()
    assert (stage.name, stage.path) == ("Stage", "/Stage/")
    assert stage.logger.name == "labthings_fastapi.things.Stage"
    assert stage.thing_state == {}


def test_a_subclass_need_not_call_our_init():
    silent = Silent()
    silent.speed = 2
    assert (silent.name, silent.speed) == ("Silent", 2.0)


def test_the_title_is_given_or_the_name_of_the_class():
    assert (Stage.title, Silent.title, Titled.title) == ("Stage", "Silent", "Left stage")


def test_a_subclass_has_the_title_that_was_given_and_else_its_own_name():
    class Child(Stage):
        pass

    class ChildOfTitled(Titled):
        pass

    assert (Child.title, ChildOfTitled.title) == ("Child", "Left stage")


@pytest.mark.parametrize(
    ("named", "types"),
    [
        ("saref:Sensor", ("saref:Sensor",)),
        (["sosa:Sensor", "https://lab.example/types#Camera"], None),
        ("urn:example:camera", ("urn:example:camera",)),
        ("Microscope", ("Microscope",)),
    ],
)
def test_a_class_names_what_it_is_in_other_vocabularies(named, types):
    cls = type("Typed", (lt.Thing,), {"semantic_type": named})
    assert cls._semantic_types == (types or tuple(named))


@pytest.mark.parametrize("wrong", ["lab:Camera", "", 5, ["saref:Sensor", None]])
def test_a_type_that_nobody_could_look_up_is_refused(wrong):
    with pytest.raises(lt.exceptions.AffordanceDefinitionError, match=r"Typed\.semantic_type"):
        type("Typed", (lt.Thing,), {"semantic_type": wrong})


def test_affordances_are_found_by_kind():
    assert list(Stage.properties) == ["speed"]
    assert list(Stage.actions) == ["move"]
    assert list(slots_of(Silent)) == ["other"]
    assert list(endpoints_of(Silent)) == ["picture"]


def test_on_an_instance_properties_are_bound():
    stage = Stage()
    speed = stage.properties["speed"]
    speed.set(3)
    assert (speed.get(), stage.speed) == (3.0, 3.0)
    assert (speed.name, speed.unit, speed.readonly, speed.is_observable) == (
        "speed",
        "mm/s",
        False,
        True,
    )
    assert speed.validate("4") == 4.0
    assert speed.value_type is float


def test_the_error_for_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AffordanceNotFoundError, match=r"'Stage'.*'sped'.*speed"):
        Stage().properties["sped"]
    with pytest.raises(KeyError):
        Stage.actions["sped"]


@pytest.mark.parametrize("name", ["properties", "actions", "ws", "gap"])
def test_paths_of_the_server_below_a_thing_are_no_names_of_affordances(name):
    def getter(self) -> int:
        return 1

    with pytest.raises(AffordanceDefinitionError, match=rf"Wrong\.{name}.*another name"):
        type("Wrong", (lt.Thing,), {name: lt.property(getter)})


def test_outside_a_run_there_is_no_log():
    with pytest.raises(NoInvocationContextError, match="no log here"):
        Stage().get_current_invocation_logs()


class Brings:
    """A mixin that is no Thing, and so has checked nothing itself."""

    level: int = lt.property(default=3, ge=0)
    done: None = lt.event()

    @lt.action
    def rest(self) -> str:
        return "rested"


class Mixed(Brings, lt.Thing):
    pass


def test_a_mixin_brings_affordances():
    mixed = Mixed()
    assert (mixed.level, mixed.rest(), list(Mixed.events)) == (3, "rested", ["done"])
    assert Mixed.level.checked is True


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: {"level": lt.property(default=1)},
        lambda: {"level": lt.property(unit="mm"), "__annotations__": {"level": int}},
    ],
)
def test_a_mistake_in_a_mixin_is_found_when_the_thing_is_made(wrong):
    mixin = type("Wrong", (), wrong())
    with pytest.raises(AffordanceDefinitionError, match=r"Wrong\.level"):
        type("Stage", (mixin, lt.Thing), {})


def test_values_from_python_are_checked_unless_the_class_does_not_want_it():
    class Trusting(lt.Thing):
        _class_settings = {"validate_properties_on_set": False}  # noqa: RUF012 - as it is written
        speed: int = lt.property(default=1, ge=0)

    trusting = Trusting()
    trusting.speed = "fast"
    assert trusting.speed == "fast"
    with lt.ThingServer.from_things({"trusting": Trusting}).test_client() as client:
        assert client.put("/trusting/speed", json="fast").status_code == 422


def test_the_error_for_an_unknown_class_setting_lists_the_known_ones():
    with pytest.raises(AffordanceDefinitionError, match=r"'validate'.*validate_properties_on_set"):
        type("Wrong", (lt.Thing,), {"_class_settings": {"validate": True}})


def test_help_shows_what_a_class_offers():
    import pydoc

    class Documented(lt.Thing):
        """A stage for tests."""

        speed: float = lt.property(default=1.0)
        """How fast it goes."""

        hot: lt.Event[float] = lt.event()
        """It is too hot."""

        @lt.property
        def x(self) -> int:
            """Where it is."""
            return 1

        @lt.action
        def move(self, x: int, *, fast: bool = False) -> int:
            """Move it."""
            return x

        @lt.endpoint("get")
        def picture(self, n: int = 1) -> bytes:
            """Take a picture."""
            return b""

    shown = pydoc.render_doc(Documented, renderer=pydoc.plaintext)
    for text in (
        "A stage for tests.",
        "How fast it goes.",
        "It is too hot.",
        "Where it is.",
        "move(self, x: 'int', *, fast: 'bool' = False) -> 'int'",
        "Move it.",
        "picture(self, n: 'int' = 1) -> 'bytes'",
        "Take a picture.",
    ):
        assert text in shown
    assert "ActionDescriptor object" not in shown


def test_an_action_can_be_called_through_its_class():
    class Faster(Mixed):
        @lt.action
        def rest(self) -> str:
            return Mixed.rest(self) + " twice"

    assert Faster().rest() == "rested twice"


def test_an_inherited_action_is_reached_by_super():
    class Faster(Mixed):
        @lt.action
        def rest(self) -> str:
            return super().rest() + " well"

    assert Faster().rest() == "rested well"
