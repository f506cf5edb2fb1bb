"""Mistakes in declarations are found when the class is made, all at once."""

from __future__ import annotations

import abc
import functools
import re
import threading
import warnings

import pytest

import labthings_fastapi as lt
from labthings_fastapi.descriptors.declarations import mistakes_for_server
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    DescriptorAddedToClassTwiceError,
    MissingTypeError,
    UnserialisableTypeError,
    UnsupportedConstraintError,
)


class Helper:
    """A type without a JSON form."""


def test_all_mistakes_of_a_class_are_in_one_error():
    with pytest.raises(AffordanceDefinitionError) as caught:

        class Wrong(lt.Thing):
            untyped = lt.property(default=1)
            speed: int = lt.property(default=1, unit="")

            @lt.property
            async def position(self) -> int:
                return 1

            @lt.action(retention_time=-1)
            def ws(self) -> None: ...

    for part in ("untyped", "unit=''", "position", "retention_time", "'ws' is used by the server"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "wrapper", [staticmethod, classmethod, property, functools.cached_property]
)
@pytest.mark.parametrize(
    "decorator", [lt.action, lt.property, lt.setting, lt.endpoint("get"), lt.action(stop=True)]
)
def test_what_is_no_method_of_an_instance_is_refused_inside_a_decorator(wrapper, decorator):
    def double(x: float) -> float:
        return 2 * x

    with pytest.raises(AffordanceDefinitionError, match=r"double: it is a .*self"):
        decorator(wrapper(double))


@pytest.mark.parametrize("wrapper", [staticmethod, classmethod, property])
@pytest.mark.parametrize("decorator", [lt.action, lt.property])
def test_what_is_no_method_of_an_instance_is_refused_around_a_decorator(wrapper, decorator):
    def double(self) -> float:
        return 2.0

    with pytest.raises(AffordanceDefinitionError, match=r"Wrong\.double.*above all"):
        type("Wrong", (lt.Thing,), {"double": wrapper(decorator(double))})


def test_a_declaration_inside_another_decorator_is_a_warning():
    def logged(function):
        @functools.wraps(function)
        def call(*args):
            return function(*args)

        return call

    with pytest.warns(UserWarning, match=r"Pump\.stop: the action is inside another decorator"):

        class Pump(lt.Thing):
            @logged
            @lt.action
            def stop(self) -> str:
                return "stopped"

    assert list(Pump.actions) == []


def test_a_declaration_inside_a_cache_is_a_warning():
    with pytest.warns(UserWarning, match=r"Pump\.stop: the action is inside another decorator"):

        class Pump(lt.Thing):
            @functools.cache  # noqa: B019 - what people write
            @lt.action
            def stop(self) -> str:
                return "stopped"

    assert list(Pump.actions) == []


def test_a_limit_that_is_set_later_is_checked_when_a_server_is_made():
    class Stage(lt.Thing):
        @lt.property
        def x(self) -> int:
            return 1

    Stage.x.constraints = {"gt": "a"}
    assert [str(each) for each in mistakes_for_server(Stage)] == [
        "Stage.x: gt='a' is no limit. Use a number (or, for times, a time)."
    ]


@pytest.mark.parametrize(("outer", "inner"), [(lt.action, lt.property), (lt.property, lt.action)])
def test_a_method_is_declared_once(outer, inner):
    def value(self) -> int:
        return 1

    with pytest.raises(AffordanceDefinitionError, match="already"):
        outer(inner(value))


def two_parameters(self, channel) -> int: ...
def no_parameter() -> int: ...
async def asynchronous(self) -> int: ...
async def asynchronous_values(self): ...
def values(self):
    yield 1


@pytest.mark.parametrize(
    ("getter", "reason"),
    [
        (two_parameters, r"\(self\).*channel"),
        (no_parameter, r"\(self\)"),
        (asynchronous, "async"),
        (values, "yield"),
    ],
)
@pytest.mark.parametrize("decorator", [lt.property, lt.setting, lt.property(observable=2)])
def test_a_getter_that_cannot_be_called_is_refused(decorator, getter, reason):
    with pytest.raises(AffordanceDefinitionError, match=rf"Wrong\.x: its getter.*{reason}"):
        type("Wrong", (lt.Thing,), {"x": decorator(getter)})


@pytest.mark.parametrize("role", ["setter", "resetter"])
@pytest.mark.parametrize("function", [asynchronous, no_parameter, values])
def test_a_setter_or_resetter_that_cannot_be_called_is_refused(role, function):
    @lt.property
    def x(self) -> int:
        return 1

    getattr(x, role)(function)
    with pytest.raises(AffordanceDefinitionError, match=rf"Wrong\.x: its {role}"):
        type("Wrong", (lt.Thing,), {"x": x})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"gt": "a"}, "gt='a' is no limit"),
        ({"ge": True}, "ge=True is no limit"),
        ({"le": float("nan")}, "le=nan is no limit"),
        ({"multiple_of": 0}, "multiple_of=0 is no limit"),
        ({"min_length": -1}, "min_length=-1 is no length"),
        ({"max_length": 2.5}, "max_length=2.5 is no length"),
        ({"pattern": "["}, "pattern"),
        ({"pattern": 5}, "pattern=5 is no regular expression"),
        ({"allow_inf_nan": "no"}, "allow_inf_nan='no'"),
        ({"ge": 5, "le": 4}, "ge=5 and le=4"),
        ({"gt": 5, "le": 5}, "gt=5 and le=5"),
        ({"min_length": 3, "max_length": 2}, "min_length=3 and max_length=2"),
    ],
)
def test_limits_that_no_value_could_keep_are_refused(options, reason):
    hint = "str" if any("length" in name or name == "pattern" for name in options) else "float"
    members = {"x": lt.property(default="", **options), "__annotations__": {"x": hint}}
    with pytest.raises(UnsupportedConstraintError, match=re.escape(reason)):
        type("Wrong", (lt.Thing,), members)


@pytest.mark.parametrize("options", [{"ge": 5, "le": 5}, {"ge": None}, {"gt": 0.5, "lt": 1}])
def test_limits_that_a_value_can_keep_are_accepted(options):
    members = {"x": lt.property(default_factory=lambda: options.get("le", 0.75), **options)}
    made = type("Right", (lt.Thing,), {**members, "__annotations__": {"x": "float"}})
    assert made().x == options.get("le", 0.75)


@pytest.mark.parametrize(
    "options", [{"unit": 5}, {"unit": " "}, {"title": 3}, {"description": ["x"]}]
)
def test_texts_must_be_texts(options):
    members = {"x": lt.property(default=1, **options), "__annotations__": {"x": "int"}}
    with pytest.raises(AffordanceDefinitionError, match=r"Wrong\.x: .* is no text"):
        type("Wrong", (lt.Thing,), members)


def test_an_affordance_with_two_names_is_refused():
    with pytest.raises(DescriptorAddedToClassTwiceError, match=r"Wrong\.x.*'y'"):

        class Wrong(lt.Thing):
            x: int = lt.property(default=1)
            y = x


def test_a_class_with_a_private_type_works_without_a_server():
    class Private(lt.Thing):
        helper: Helper = lt.property(default_factory=Helper)
        lock: threading.Lock = lt.property(default=None)  # type: ignore[assignment]

        @lt.property
        def made(self) -> Helper:
            return self.helper

        @lt.action
        def use(self, helper: Helper) -> None:
            self.helper = helper

    private = Private()
    private.helper = other = Helper()
    assert private.made is other
    private.use(other)
    found = mistakes_for_server(Private)
    assert {type(each) for each in found} == {UnserialisableTypeError}
    names = ["helper", "lock", "made", "use"]
    assert all(f"Private.{name}" in str(each) for name, each in zip(names, found, strict=True))


def test_a_return_hint_without_a_json_form_is_refused_where_the_action_is_declared():
    with pytest.raises(UnserialisableTypeError, match=r"Wrong\.use") as caught:

        class Wrong(lt.Thing):
            @lt.action
            def use(self) -> Helper: ...

    assert f"{__file__}:" in str(caught.value)


def test_an_action_has_the_name_of_its_method():
    def go(self) -> None: ...

    with pytest.raises(ValueError, match=r"Wrong\.drive: the method .* is called 'go'.*def drive"):
        type("Wrong", (lt.Thing,), {"drive": lt.action(go)})


def test_a_hint_that_leads_nowhere_stops_a_server_and_not_the_class():
    class Wrong(lt.Thing):
        x: OnlyForTypeCheckers = lt.property(default=None)  # noqa: F821

        @lt.property
        def dose(self) -> OnlyForTypeCheckers:  # noqa: F821
            return 1

        @lt.action
        def give(self, dose: OnlyForTypeCheckers) -> None: ...  # noqa: F821

    found = mistakes_for_server(Wrong)
    assert {type(each) for each in found} == {MissingTypeError}
    assert all("resolve forward ref" in str(each) for each in found)
    assert [name in str(each) for name, each in zip(("x", "dose", "give"), found, strict=True)]


def test_a_hint_may_name_a_class_that_is_defined_later():
    class Early(lt.Thing):
        x: Later = lt.property(default=1)

    assert mistakes_for_server(Early) == []
    assert Early().x == 1


Later = int


def test_an_on_cancel_that_is_no_method_stops_a_server():
    class Oven(lt.Thing):
        @lt.action(on_cancel="heater_of")
        def heat(self) -> None: ...

    assert "heater_of" in str(mistakes_for_server(Oven)[0])

    class Mended(Oven):
        def heater_of(self) -> None: ...

    assert mistakes_for_server(Mended) == []


@pytest.mark.parametrize(
    "name", ["path", "name", "settings", "logger", "title", "thing_description"]
)
def test_a_name_that_hides_a_member_of_thing_is_a_warning(name):
    members = {name: lt.property(default="x"), "__annotations__": {name: "str"}}
    with pytest.warns(UserWarning, match=rf"Camera\.{name}: this property hides `Thing\.{name}`"):
        made = type("Camera", (lt.Thing,), members)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inherited = type("Sub", (made,), {})  # said once
    thing = inherited()
    assert getattr(thing, name) == "x"
    assert list(thing.property_descriptors) == [name]
    assert thing._own_title == "Sub"


def test_a_setting_called_settings_is_saved(tmp_path):
    from labthings_fastapi.testing import create_thing_without_server

    with pytest.warns(UserWarning, match="settings"):

        class Camera(lt.Thing):
            settings: dict[str, int] = lt.setting(default={})

    camera = create_thing_without_server(Camera, settings_folder=str(tmp_path))
    camera.settings = {"gain": 3}
    camera.save_settings()
    again = create_thing_without_server(Camera, settings_folder=str(tmp_path))
    assert again.settings == {"gain": 3}


def test_a_declared_thing_state_is_no_surprise():
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Camera(lt.Thing):
            @lt.property
            def thing_state(self):
                return {"gain": 1}

    assert Camera().thing_state == {"gain": 1}


@pytest.mark.parametrize(
    "name", ["_thing_server_interface", "_affordances", "property_descriptors"]
)
def test_a_name_that_the_framework_needs_is_refused(name):
    members = {name: lt.property(default=1), "__annotations__": {name: "int"}}
    with pytest.raises(AffordanceDefinitionError, match=name):
        type("Wrong", (lt.Thing,), members)


class Pump(lt.Thing):
    rate: float = lt.property(default=1.0)

    @lt.action
    def stop(self) -> str:
        return "stopped"

    @lt.property
    def level(self) -> int:
        return 1


@pytest.mark.parametrize("name", ["rate", "stop", "level"])
@pytest.mark.parametrize("value", [7.0, lambda self: 1, property(lambda self: 2)])
def test_an_undeclared_override_is_a_warning(name, value):
    with pytest.warns(UserWarning, match=rf"Fast\.{name} hides \w+ Pump\.{name}.*`@?lt\.") as said:
        fast = type("Fast", (Pump,), {name: value})
    assert len(said) == 1
    assert name not in {**fast.properties, **fast.actions}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        type("Faster", (fast,), {})  # said once


def test_an_undeclared_override_by_a_mixin_is_a_warning():
    class Gentle:
        def stop(self) -> str:
            return "gently"

    with pytest.warns(UserWarning, match=r"Gentle\.stop hides action Pump\.stop.*clients of Mixed"):
        type("Mixed", (Gentle, Pump), {})


def test_an_undeclared_implementation_of_an_abstract_action_is_a_warning():
    class Base(lt.Thing, abc.ABC):
        @lt.action
        @abc.abstractmethod
        def home(self) -> None: ...

    with pytest.warns(UserWarning, match=r"Stage\.home hides action Base\.home"):

        class Stage(Base):
            def home(self) -> None: ...


def test_an_action_is_removed_on_purpose_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        still = type("Still", (Pump,), {"stop": None})
    assert list(still.actions) == []


def test_the_warning_names_the_line_of_the_class():
    with pytest.warns(UserWarning, match=r"Fast\.rate") as said:

        class Fast(Pump, abc.ABC):
            rate = 7.0

    assert said[0].filename == __file__
