"""`labthings-server check` finds what the start would find, and writes nothing."""

from __future__ import annotations

import json
import pickle

import pytest
from pydantic import BaseModel

import labthings_fastapi as lt
from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    MissingTypeError,
    ServerConfigurationError,
    ThingSlotError,
    UnserialisableTypeError,
)
from labthings_fastapi.server.check import check

entered: list[str] = []


class Careful(lt.Thing):
    level: int = lt.setting(default=1)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        services = self._thing_server_interface
        self.seen = (services.application_config["lab"], self.name, self.path)
        self.level = 7
        if services.application_config["lab"] == "closed":
            raise OSError("the lab is closed")

    def __enter__(self):
        entered.append(self.name)

    def __exit__(self, *_):
        pass


def config_of(tmp_path, lab="open"):
    return {
        "things": {"a": Careful, "b": "labthings_fastapi.example_things:MyThing"},
        "settings_folder": str(tmp_path / "settings"),
        "application_config": {"lab": lab},
        "enable_global_lock": True,
        "api_prefix": "/api",
    }


def test_things_are_made_but_not_opened_and_settings_stay_as_they_are(tmp_path):
    assert check(config_of(tmp_path)) == []
    assert entered == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_thing_raises_while_it_is_made_is_raised_with_its_place(tmp_path):
    text = "things.a.cls: it could not be made: OSError: the lab is closed"
    with pytest.raises(OSError, match="the lab is closed") as raised:
        lt.ThingServer(config_of(tmp_path, "closed"))
    assert raised.value.__notes__ == [text]
    with pytest.raises(ServerConfigurationError, match=text):
        check(config_of(tmp_path, "closed"))


class Private:
    """A type without a JSON form."""


class Meter(lt.Thing):
    @lt.property
    def volts(self) -> Private:
        return Private()

    @lt.action
    def zero(self, offset: Private) -> None: ...


class Dose(lt.Thing):
    meter: Meter = lt.thing_slot()

    @lt.property
    def dose(self) -> OnlyForTypeCheckers:  # noqa: F821
        return 1


class Fine(lt.Thing):
    speed: float = lt.property(default=1.0)


def test_all_mistakes_of_all_things_are_in_one_error_with_their_places():
    things = {"fine": Fine, "m": Meter, "n": Meter, "d": Dose, "x": "nowhere:Nothing"}
    texts = []
    for attempt in (check, lt.ThingServer):
        with pytest.raises(ServerConfigurationError) as caught:
            attempt({"things": things})
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    for place in (
        "things.m.cls: Meter.volts: ",
        "things.m.cls: Meter.zero: ",
        "things.n.cls: Meter.volts: ",
        "things.d.cls: Dose.dose: ",
        "things.d.thing_slots: d.meter: ",
        "things.x.cls: ",
    ):
        assert place in texts[0]


def test_the_error_is_of_the_kind_of_its_mistakes_and_can_be_pickled():
    with pytest.raises(UnserialisableTypeError) as one_kind:
        lt.ThingServer.from_things({"m": Meter})
    with pytest.raises(ServerConfigurationError) as several:
        lt.ThingServer.from_things({"m": Meter, "n": Meter, "d": Dose})
    assert isinstance(one_kind.value, ServerConfigurationError)
    assert not isinstance(one_kind.value, ThingSlotError)
    for kind in (UnserialisableTypeError, MissingTypeError, ThingSlotError):
        assert isinstance(several.value, kind)
    again = pickle.loads(pickle.dumps(several.value))  # noqa: S301 - our own
    assert str(again) == str(several.value)
    assert type(again) is type(several.value)


def test_a_thing_whose_types_have_no_json_form_is_not_added():
    server = lt.ThingServer()
    with pytest.raises(AffordanceDefinitionError, match=r"Meter\.volts(.|\n)*Meter\.zero"):
        server.add_thing(Meter(), "/meter/")
    assert dict(server.things) == {}


def test_an_abstract_class_is_refused_by_name_and_place():
    class Base(lt.Thing):
        @lt.action
        def home(self) -> None: ...

        home.__isabstractmethod__ = True

    with pytest.raises(AffordanceDefinitionError, match=r"things\.s\.cls: .*Sub.*home"):
        lt.ThingServer.from_things({"s": type("Sub", (Base,), {}), "fine": Fine})


class Indescribable(BaseModel):
    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        raise ZeroDivisionError("no schema today")


@pytest.mark.parametrize(
    "declared",
    [
        lambda: {"x": lt.property(default=None), "__annotations__": {"x": Indescribable | None}},
        lambda: {"x": lt.event(), "__annotations__": {"x": Indescribable}},
        lambda: {"x": lt.property(annotated("self", Indescribable))},
        lambda: {"x": lt.action(annotated("self", Indescribable))},
        lambda: {"x": lt.action(annotated("value", Indescribable))},
    ],
)
def test_a_type_that_cannot_be_described_stops_the_start(declared):
    made = type("Wrong", (lt.Thing,), declared())
    for attempt in (check, lt.ThingServer):
        with pytest.raises(AffordanceDefinitionError, match=r"things\.w\.cls: Wrong\.x.*no schema"):
            attempt({"things": {"w": made}})


def annotated(place, hint):
    if place == "self":

        def function(self):
            return None

        function.__annotations__ = {"return": hint}
    else:

        def function(self, value):
            return None

        function.__annotations__ = {"value": hint, "return": None}
    function.__name__, function.__qualname__ = "x", "Wrong.x"
    return function


def test_an_endpoint_that_cannot_be_described_is_found():
    class Wrong(lt.Thing):
        @lt.endpoint("get", response_model=Indescribable)
        def raw(self): ...

    with pytest.raises(ServerConfigurationError, match=r"/w/raw.*no schema today"):
        check({"things": {"w": Wrong, "fine": Fine}})


def test_what_is_allowed_but_probably_wrong_is_listed():
    with pytest.warns(UserWarning, match="Odd"):

        class Odd(lt.Thing):
            count: int = lt.property(default=None)

            @lt.property
            def raw(self):
                return 1

    class Sub(Odd): ...

    listed = "\n".join(check({"things": {"o": Sub}}))
    assert "things.o.cls: Odd.count: the default None breaks" in listed
    assert "things.o.cls: Odd.raw: the getter has no return type hint" in listed


def test_the_command_lists_it(capsys):
    from labthings_fastapi.server.cli import run_command

    text = json.dumps({"things": {"o": f"{__name__}:Untyped"}})
    assert run_command(["check", "-j", text]) == 0
    shown = capsys.readouterr().out
    assert "Warning: things.o.cls: Untyped.raw: the getter has no return type hint" in shown
    assert "The configuration is valid: o." in shown


class Untyped(lt.Thing):
    @lt.property
    def raw(self):
        return 1


def test_wrong_credentials_of_the_settings_folder_are_found(tmp_path):
    (tmp_path / "credentials.json").write_text("no json")
    texts = []
    for attempt in (check, lt.ThingServer):
        with pytest.raises(Exception, match="credentials") as caught:
            attempt({"settings_folder": str(tmp_path)})
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
