"""In subclasses, descriptors behave like Python's own."""

from __future__ import annotations

import abc

import pytest
from pydantic import ValidationError

import labthings_fastapi as lt


class Stage(lt.Thing):
    _z = 0.0
    rate: float = lt.property(default=1.0)

    @lt.property
    def z(self) -> float:
        """Height."""
        return self._z

    @z.setter
    def z(self, value: float) -> None:
        self._z = value

    @lt.property
    def y(self) -> float:
        return self._z

    @y.setter
    def _set_y(self, value: float) -> None:
        self._z = value

    @lt.action
    def move(self) -> str:
        return "moved"


class Piezo(Stage):
    @Stage.z.setter
    def z(self, value: float) -> None:
        self._z = value * 1000

    @Stage.y.setter
    def _set_y(self, value: float) -> None:
        self._z = value * 100

    @Stage.y.resetter
    def _reset_y(self) -> None:
        self._z = -1.0


def test_a_setter_in_a_subclass_makes_a_new_property():
    stage, piezo = Stage(), Piezo()
    stage.z = piezo.z = 1.0
    assert (stage.z, piezo.z) == (1.0, 1000.0)
    stage.y = piezo.y = 1.0
    assert (stage.y, piezo.y) == (1.0, 100.0)


def test_the_new_property_belongs_to_the_subclass_and_keeps_what_it_does_not_change():
    assert (Stage.z.where, Piezo.z.where, Piezo.y.where) == ("Stage.z", "Piezo.z", "Piezo.y")
    assert (Piezo.z.title, Piezo.z.value_type, Piezo.z.readonly) == ("Height.", float, False)
    assert (Stage.y.is_resettable, Piezo.y.is_resettable) == (False, True)
    piezo = Piezo()
    piezo.properties["y"].reset()
    assert piezo.y == -1.0


def test_accessors_of_another_name_stay_methods():
    piezo = Piezo()
    piezo._set_y(2.0)
    assert piezo.z == 200.0
    piezo._reset_y()
    assert piezo.z == -1.0


def test_a_getter_in_a_subclass_makes_a_new_property():
    class Nano(Stage):
        @Stage.z.getter
        def z(self) -> float:
            return self._z * 1e9

    nano, stage = Nano(), Stage()
    nano.z = stage.z = 1.0
    assert (nano.z, stage.z) == (1e9, 1.0)


def test_the_setter_of_the_base_class_can_be_called():
    class Careful(Stage):
        @Stage.z.setter
        def z(self, value: float) -> None:
            Stage.z.fset(self, min(value, 5.0))

        @property
        def below(self) -> float:
            return super().z - 1

    careful = Careful()
    careful.z = 9.0
    assert (careful.z, careful.below) == (5.0, 4.0)


def test_a_property_without_a_setter_gets_one_in_a_subclass():
    class Fixed(lt.Thing):
        _gain = 1

        @lt.property
        def gain(self) -> int:
            return self._gain

    class Free(Fixed):
        @Fixed.gain.setter
        def gain(self, value: int) -> None:
            self._gain = value

    assert (Fixed.gain.readonly, Free.gain.readonly) == (True, False)
    with pytest.raises(AttributeError):
        Fixed().gain = 3


def test_a_setter_of_a_setting_makes_a_setting_of_the_subclass():
    class Base(lt.Thing):
        _gain = 1

        @lt.setting
        def gain(self) -> int:
            return self._gain

        @gain.setter
        def gain(self, value: int) -> None:
            self._gain = value

    class Sub(Base):
        @Base.gain.setter
        def gain(self, value: int) -> None:
            self._gain = value * 2

    assert list(Sub.settings) == ["gain"]
    sub, base = Sub(), Base()
    sub.gain = base.gain = 2
    assert (sub.gain, base.gain) == (4, 2)


def make_family():
    class Base(lt.Thing):
        x: int = lt.property(default=1)

        @lt.property
        def y(self) -> int:
            return 1

        @y.setter
        def y(self, value: int) -> None: ...

        @lt.action
        def go(self) -> None: ...

        hot: float = lt.event()

    class Sub(Base): ...

    class SubSub(Sub): ...

    class Other(Base): ...

    return Base, Sub, SubSub, Other


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("x", "readonly", True),
        ("y", "readonly", True),
        ("x", "unit", "mm"),
        ("x", "title", "New"),
        ("y", "description", "New"),
        ("y", "observable", True),
        ("y", "default", 3),
        ("x", "default", 3),
        ("x", "use_global_lock", False),
        ("go", "use_global_lock", False),
        ("go", "synchronous", True),
        ("hot", "title", "New"),
    ],
)
def test_an_option_set_on_a_subclass_changes_that_class_and_those_below(name, option, value):
    family = make_family()
    base, sub, *_ = family
    before = getattr(getattr(base, name), option, None)
    setattr(getattr(sub, name), option, value)
    found = [getattr(getattr(each, name), option, None) for each in family]
    assert found == [before, value, value, before]
    served = [getattr(each._affordances[name], option, None) for each in family]
    assert served == found


def test_an_option_set_on_the_base_class_is_inherited():
    base, sub, below, other = make_family()
    assert sub.x.readonly is below.x.readonly is False  # looking changes nothing
    base.x.readonly = True
    assert [each.x.readonly for each in (base, sub, below, other)] == [True] * 4
    assert sub.x._owner is sub
    assert "x" not in vars(sub)


def test_constraints_set_on_a_subclass_hold_there_only():
    base, sub, below, _ = make_family()
    sub.y.constraints = {"le": 5}
    base().y = 6
    for each in (sub, below):
        with pytest.raises(ValidationError):
            each().y = 6


def test_an_inherited_property_is_the_same_each_time():
    _, sub, _, _ = make_family()
    assert sub.x is sub.x
    assert {sub.x: 1}[sub.x] == 1


def test_what_a_diamond_inherits_is_what_python_says():
    base, sub, _, _ = make_family()

    class Right(base):
        x: int = lt.property(default=2)

    assert sub.x.default == 1

    class Both(sub, Right): ...

    assert Both().x == Both.x.default == 2


@pytest.mark.parametrize("abstract_base", [(lt.Thing,), (lt.Thing, abc.ABC)])
@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("declare", [lt.action, lt.property, lt.setting, lt.endpoint("get")])
def test_a_class_without_an_abstract_affordance_cannot_be_instantiated(
    abstract_base, outside, declare
):
    def home(self) -> int:
        """Find the switch."""

    declared = abc.abstractmethod(declare(home)) if outside else declare(abc.abstractmethod(home))
    metaclass = type(abstract_base[-1]) if len(abstract_base) > 1 else type(lt.Thing)
    base = metaclass("Base", abstract_base, {"home": declared, "__module__": __name__})
    incomplete = metaclass("Incomplete", (base,), {})
    for each in (base, incomplete):
        with pytest.raises(TypeError, match=r"abstract class .* home"):
            each()

    def at_home(self) -> int:
        return 1

    at_home.__name__ = "home"
    complete = metaclass("Complete", (base,), {"home": declare(at_home)})
    assert complete() is not None


def test_an_abstract_setter_must_be_declared_too():
    class Base(lt.Thing, abc.ABC):
        @lt.property
        def x(self) -> int:
            return 1

        @x.setter
        @abc.abstractmethod
        def x(self, value: int) -> None: ...

    class Sub(Base):
        @Base.x.setter
        def x(self, value: int) -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Base()
    assert Sub().x == 1


def test_the_functions_of_an_inherited_action_are_the_same_object():
    assert Piezo.move.func is Stage.move.func


def test_a_hint_in_a_setter_of_a_subclass_may_name_a_class_in_the_base():
    class Base(lt.Thing):
        class Mode(int): ...

        @lt.property
        def mode(self) -> Mode:
            return 1

    class Sub(Base):
        @Base.mode.setter
        def mode(self, value) -> None: ...

    assert Sub.mode.value_type is Base.Mode
