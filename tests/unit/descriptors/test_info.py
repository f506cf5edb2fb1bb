"""A Thing's affordances by name."""

from __future__ import annotations

import threading

import pytest
from pydantic import ValidationError

import labthings_fastapi as lt
from labthings_fastapi.descriptors.info import SettingInfo
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    FeatureNotAvailableError,
    NotBoundToInstanceError,
    ReadOnlyPropertyError,
)


class Stage(lt.Thing):
    speed: float = lt.property(default=1.0, gt=0, unit="mm/s", title="Pace")
    trail: list[int] = lt.property(default_factory=lambda: [1])
    serial: str = lt.property(default="A7", readonly=True)
    backlash: int = lt.setting(default=10)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._x = 5

    @lt.property(observable=True)
    def x(self) -> int:
        """Where it is.

        In steps.
        """
        return self._x

    @x.setter
    def _set_x(self, value):
        self._x = value

    x.default = 0
    x.constraints = {"ge": 0}  # noqa: RUF012 - this is how it is written in a class

    @lt.property
    def y(self) -> int:
        return 1

    @y.resetter
    def _reset_y(self):
        self._x = 99

    @lt.property
    def z(self) -> int:
        return 2


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
def received():
    """A callback that keeps the values it receives, and can wait for them."""

    class Received:
        def __init__(self):
            self.values = []
            self._changed = threading.Condition()

        def __call__(self, value):
            with self._changed:
                self.values.append(value)
                self._changed.notify_all()

        def wait_for(self, *values):
            with self._changed:
                assert self._changed.wait_for(lambda: self.values == list(values), 30), self.values

    return Received()


def test_it_has_the_declared_options(stage):
    speed, x = stage.properties["speed"], stage.properties["x"]
    assert (speed.name, speed.title, speed.unit, speed.value_type) == (
        *("speed", "Pace", "mm/s", float),
    )
    assert (x.title, x.description) == ("Where it is.", "In steps.")
    assert (speed.readonly, stage.properties["serial"].readonly) == (False, True)
    assert list(stage.settings) == ["backlash"]


def test_it_reads_and_sets(stage):
    stage.properties["speed"].set(2)
    stage.properties["x"].set(3)
    assert (stage.speed, stage.x, stage.properties["x"].get()) == (2.0, 3, 3)
    with pytest.raises(ReadOnlyPropertyError, match=r"'z'.*read-only"):
        stage.properties["z"].set(1)


def test_it_checks_without_setting(stage):
    assert stage.properties["speed"].validate("4") == 4.0
    with pytest.raises(ValidationError):
        stage.properties["x"].validate(-1)
    assert stage.speed == 1.0


@pytest.mark.parametrize("name", ["speed", "x"])
def test_an_invalid_value_from_python_is_refused_with_the_name_of_property_and_thing(stage, name):
    info = stage.properties[name]
    for act in (lambda: setattr(stage, name, -1), lambda: info.set(-1), lambda: info.validate(-1)):
        with pytest.raises(ValidationError) as caught:
            act()
        assert str(caught.value).startswith(f"Property {name!r} of Thing 'Stage': Input should be ")
        assert str(caught.value).endswith(", and it is -1")
        assert "pydantic" not in str(caught.value)


def test_its_model_has_the_constraints(stage):
    model = stage.properties["speed"].model
    assert model(3).root == 3.0
    with pytest.raises(ValidationError):
        model(-3)


def test_its_default_is_fresh_each_time(stage):
    trail = stage.properties["trail"]
    trail.default.append(2)
    assert trail.default == [1]
    assert (stage.properties["x"].default, Stage.properties["speed"].default) == (0, 1.0)
    with pytest.raises(FeatureNotAvailableError, match=r"'z' of Thing 'Stage' has no default"):
        _ = stage.properties["z"].default


@pytest.mark.parametrize(
    ("name", "resettable"),
    [("speed", True), ("serial", False), ("x", True), ("y", True), ("z", False)],
)
def test_a_default_or_a_resetter_makes_a_property_resettable(stage, name, resettable):
    assert stage.properties[name].is_resettable is resettable


def test_a_reset_gives_the_default_or_calls_the_resetter(stage):
    stage.speed, stage.trail = 3, [4, 5]
    stage.properties["speed"].reset()
    stage.properties["trail"].reset()
    stage.properties["x"].reset()
    assert (stage.speed, stage.trail, stage.x) == (1.0, [1], 0)
    stage.properties["y"].reset()
    assert stage.x == 99
    with pytest.raises(ReadOnlyPropertyError, match=r"'z'.*no default"):
        stage.properties["z"].reset()


def test_the_things_own_code_may_reset_what_clients_may_not(stage):
    stage.serial = "B8"
    stage.properties["serial"].reset()
    assert stage.serial == "A7"


def test_observers_receive_changes_and_resets_in_order(stage, received):
    watch = stage.properties["speed"].observe(received)
    stage.speed = 2
    received.wait_for(2.0)
    stage.properties["speed"].reset()
    received.wait_for(2.0, 1.0)
    watch.close()


def test_a_functional_property_publishes_through_its_setter_or_by_publish(stage, received):
    watch = stage.properties["x"].observe(received)
    stage.x = 7
    received.wait_for(7)
    stage._x = 8
    stage.properties["x"].publish()
    received.wait_for(7, 8)
    watch.close()


def test_a_property_that_is_not_observable_cannot_be_observed(stage, received):
    with pytest.raises(AffordanceDefinitionError, match=r"'z'.*observable=True"):
        stage.properties["z"].observe(received)


def test_the_mappings_have_a_length_and_a_repr(stage):
    assert len(stage.properties) == 7
    assert "speed" in repr(stage.properties)
    assert stage.properties.get("sped") is None


@pytest.mark.parametrize("interval", [0.5, 2, True, None])
def test_a_polling_interval_is_a_number_of_seconds(interval):
    class Polled(lt.Thing):
        @lt.property(observable=interval)
        def value(self) -> int:
            return 1

    expected = None if interval in (True, None) else float(interval)
    assert Polled.value.poll_interval == expected
    assert Polled.value.is_observable is bool(interval)


@pytest.mark.parametrize("interval", [-1.0, float("inf"), float("nan"), 0.0, 0])
def test_a_senseless_interval_is_refused_when_the_class_is_made(interval):
    with pytest.raises(
        AffordanceDefinitionError, match=r"Wrong\.value.*positive number of seconds"
    ):

        class Wrong(lt.Thing):
            @lt.property(observable=interval)
            def value(self) -> int:
                return 1


class Scope(Stage):
    """A class that inherits everything."""

    gain: int = lt.setting(default=2, ge=0)
    offset: float = lt.setting(default=0.5)

    @lt.action(response_timeout=3, retention_time=60)
    def scan(self, n: int) -> list[int]:
        """Scan."""
        return list(range(n))


def test_those_of_a_class_know_the_declaration_and_no_value():
    info = Scope.properties["speed"]
    assert (info.is_bound, info.owning_class, info.owning_object) == (False, Scope, None)
    assert (info.name, info.title, info.value_type, info.default) == ("speed", "Pace", float, 1.0)
    assert (info.is_observable, info.is_resettable) == (True, True)
    assert info.model(2).root == 2.0
    assert info.validate("3") == 3.0
    for use in (info.get, info.reset, lambda: info.set(2), lambda: info.model_instance):
        with pytest.raises(NotBoundToInstanceError, match=r"Scope\.speed belongs to a class"):
            use()


def test_those_of_a_thing_know_it(stage):
    info = stage.properties["speed"]
    assert (info.is_bound, info.owning_class, info.owning_object) == (True, Stage, stage)
    assert info.model_instance.root == 1.0
    assert repr(info) == f"<PropertyInfo for Stage.speed bound to {stage!r}>"
    assert repr(Stage.properties["speed"]) == "<PropertyInfo for Stage.speed>"


def test_two_are_equal_if_class_name_and_thing_are(stage):
    other = Stage()
    assert stage.properties["speed"] == stage.properties["speed"]
    assert len({stage.properties["speed"], stage.properties["speed"]}) == 1
    for differs in (
        *(stage.properties["x"], other.properties["speed"], Stage.properties["speed"], "speed"),
    ):
        assert stage.properties["speed"] != differs
    assert Stage.properties["speed"] != Scope.properties["speed"]


def test_names_come_in_the_order_of_the_alphabet(stage):
    assert list(stage.properties) == sorted(stage.properties)
    assert "nothing" not in stage.properties


def test_a_constraint_is_an_object_of_annotated_types():
    metadata = Stage.speed.model.model_fields["root"].metadata
    assert [each.gt for each in metadata if hasattr(each, "gt")] == [0]
    assert Stage.speed.model.__name__.startswith("SpeedValue")


def test_settings_have_one_model_of_all():
    scope = Scope()
    scope.gain = 7
    settings = scope.settings
    assert isinstance(settings["gain"], SettingInfo)
    assert settings.model_instance.model_dump() == {"backlash": 10, "gain": 7, "offset": 0.5}
    assert Scope.settings.model().model_dump() == {"backlash": None, "gain": None, "offset": None}
    with pytest.raises(ValidationError):
        Scope.settings.model(nothing=1)
    with pytest.raises(NotBoundToInstanceError):
        _ = Scope.settings.model_instance


def test_an_action_tells_its_models_and_its_times():
    scope = Scope()
    for info in (Scope.actions["scan"], scope.actions["scan"]):
        assert (info.name, info.title, info.description) == ("scan", "Scan.", "Scan.")
        assert (info.response_timeout, info.retention_time) == (3, 60)
        assert info.func is Scope.scan.func
        assert set(info.input_model.model_fields) == {"n"}
        assert set(info.output_model.model_fields) == {"root"}
        assert "output" in info.invocation_model.model_fields
    assert scope.actions["scan"].is_bound
    assert repr(Scope.actions["scan"]) == "<ActionInfo for Scope.scan>"
