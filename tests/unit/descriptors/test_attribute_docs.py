"""The string after an attribute is its documentation."""

from __future__ import annotations

import labthings_fastapi as lt
from labthings_fastapi.descriptors.attribute_docs import attribute_docs


class Documented:
    """The class itself."""

    plain = 1
    """Plain."""

    hinted: int = 2
    """Hinted.

    More of it.
        Indented more.
    """

    only_hinted: str
    """Without a value."""

    silent = 3

    first = second = 4
    """Of two names, of neither."""

    numbers = 5
    6  # noqa: B018 - not documentation

    def method(self):
        """Not of an attribute."""

    """After a method."""

    inside = [0]  # noqa: RUF012
    """Of a list."""
    inside[0] = 1
    """Of a part of it."""


class Bilingual(lt.Thing):
    ångström: float = lt.property(default=1.0)  # noqa: PLC2401 - letters of any language
    """Ein Zehntel Nanometer: 0,1 nm — sehr klein."""


def test_each_attribute_has_the_string_that_follows_it():
    assert attribute_docs(Documented) == {
        "plain": "Plain.",
        "hinted": "Hinted.\n\nMore of it.\n    Indented more.",
        "only_hinted": "Without a value.",
        "inside": "Of a list.",
    }


def test_any_language_will_do():
    assert Bilingual.ångström.title == "Ein Zehntel Nanometer: 0,1 nm — sehr klein."


def test_a_class_inside_a_function_is_read_too():
    class Local(lt.Thing):
        speed: float = lt.property(default=1.0)
        """How fast."""

    assert Local.speed.title == "How fast."


def test_without_source_there_is_nothing():
    namespace: dict = {}
    exec("class Typed:\n    a = 1\n    'A.'\n", namespace)  # noqa: S102 - a class without a file
    assert attribute_docs(namespace["Typed"]) == {}
    assert attribute_docs(int) == {}
