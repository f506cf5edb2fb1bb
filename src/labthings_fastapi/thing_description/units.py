"""Units as terms of a vocabulary, and the short forms that people read; pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

UNIT_PREFIXES = {
    "om": "http://www.ontology-of-units-of-measure.org/resource/om-2/",
    "qudt-unit": "http://qudt.org/vocab/unit/",
}
"""The vocabularies of units whose prefixes a description explains."""

SHORT_FORMS = {
    "om:ampere": "A",
    "om:bar": "bar",
    "om:bit": "bit",
    "om:byte": "B",
    "om:centimetre": "cm",
    "om:centimetrePerSecond-Time": "cm/s",
    "om:decibel": "dB",
    "om:degree": "°",
    "om:degreeCelsius": "°C",
    "om:electronvolt": "eV",
    "om:farad": "F",
    "om:gigahertz": "GHz",
    "om:gram": "g",
    "om:henry": "H",
    "om:hertz": "Hz",
    "om:hour": "h",
    "om:joule": "J",
    "om:kelvin": "K",
    "om:kilogram": "kg",
    "om:kilohertz": "kHz",
    "om:kilopascal": "kPa",
    "om:kilovolt": "kV",
    "om:kilowatt": "kW",
    "om:litre": "l",
    "om:lumen": "lm",
    "om:lux": "lx",
    "om:megahertz": "MHz",
    "om:metre": "m",
    "om:metrePerSecond-Time": "m/s",
    "om:microampere": "µA",
    "om:microfarad": "µF",
    "om:microgram": "µg",
    "om:microlitre": "µl",
    "om:micrometre": "µm",
    "om:micrometrePerSecond-Time": "µm/s",
    "om:microsecond-Time": "µs",
    "om:microvolt": "µV",
    "om:microwatt": "µW",
    "om:milliampere": "mA",
    "om:millibar": "mbar",
    "om:milligram": "mg",
    "om:millikelvin": "mK",
    "om:millilitre": "ml",
    "om:millimetre": "mm",
    "om:millimetrePerSecond-Time": "mm/s",
    "om:millimolar": "mM",
    "om:millinewton": "mN",
    "om:milliradian": "mrad",
    "om:millisecond-Time": "ms",
    "om:millitesla": "mT",
    "om:millivolt": "mV",
    "om:milliwatt": "mW",
    "om:minute-Time": "min",
    "om:molar": "M",
    "om:mole": "mol",
    "om:nanoampere": "nA",
    "om:nanometre": "nm",
    "om:nanosecond-Time": "ns",
    "om:newton": "N",
    "om:ohm": "Ω",
    "om:pascal": "Pa",
    "om:percent": "%",
    "om:pixel": "px",
    "om:radian": "rad",
    "om:second-Time": "s",
    "om:tesla": "T",
    "om:volt": "V",
    "om:watt": "W",
}
"""Terms of the Ontology of Units of Measure 2, and what people write for them."""


def unit_members(unit: str) -> dict[str, str]:
    """Return the members of a data schema for a unit: as declared, and its short form if known."""
    short = SHORT_FORMS.get(unit)
    return {"unit": unit} if short is None else {"unit": unit, "labthings:unit": short}


def unit_text(schema: Mapping[str, Any]) -> str:
    """Return what people write for the unit of a data schema; empty without a unit."""
    short = schema.get("labthings:unit")
    if isinstance(short, str):
        return short
    unit = schema.get("unit")
    return SHORT_FORMS.get(unit, unit) if isinstance(unit, str) else ""


def without_unit(text: str, schema: Mapping[str, Any]) -> str:
    """Return a text without the unit of the schema behind it: "3 µm" or "3 um" becomes "3".

    Another unit stays, and then the text is no number.
    """
    plain = _plain(text).strip()
    for unit in (unit_text(schema), schema.get("unit")):
        if isinstance(unit, str) and unit and plain.endswith(_plain(unit)):
            return plain.removesuffix(_plain(unit)).strip()
    return plain


def _plain(text: str) -> str:
    """Return a text in which a sign that stands twice in Unicode is one, and µ is u."""
    return unicodedata.normalize("NFKC", text).replace("\N{GREEK SMALL LETTER MU}", "u")


def prefix_of(unit: str) -> str | None:
    """Return the prefix of a unit that is a term of a known vocabulary."""
    prefix, colon, _ = unit.partition(":")
    return prefix if colon and prefix in UNIT_PREFIXES else None
