"""The lamp below uses every term of the standard that a description of ours could."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from labthings_fastapi.exceptions import ThingDescriptionError
from labthings_fastapi.thing_description.model import ThingDescription
from labthings_fastapi.thing_description.validation import parse, validate

LAMP: dict[str, Any] = {
    "@context": [
        "https://www.w3.org/2022/wot/td/v1.1",
        {"om": "http://www.ontology-of-units-of-measure.org/resource/om-2/", "@language": "en"},
    ],
    "@type": ["Thing", "om:Device"],
    "id": "urn:uuid:0804d572-cce8-422a-bb7c-4412fcd56f06",
    "title": "Lamp",
    "titles": {"en": "Lamp", "de-CH": "Lampe"},
    "description": "Lights the sample.",
    "descriptions": {"en": "Lights the sample."},
    "version": {"instance": "1.2.1", "model": "1.0.0"},
    "created": "2024-05-01T12:00:00Z",
    "modified": "2024-05-01T12:00:00.5+02:00",
    "support": "mailto:lab@example.org",
    "base": "https://lamp.example.org/api/",
    "profile": ["https://www.w3.org/2022/wot/profile/http-basic/v1"],
    "security": ["login"],
    "securityDefinitions": {
        "nosec_sc": {"scheme": "nosec"},
        "auto_sc": {"scheme": "auto"},
        "token": {
            "scheme": "bearer",
            "format": "jwt",
            "alg": "ES256",
            "authorization": "https://login.example.org/",
            "in": "header",
        },
        "password": {"scheme": "basic", "in": "header", "description": "For browsers."},
        "digest_sc": {"scheme": "digest", "qop": "auth-int", "in": "query", "name": "d"},
        "key": {"scheme": "apikey", "in": "uri", "name": "key"},
        "psk_sc": {"scheme": "psk", "identity": "lamp"},
        "oauth": {
            "scheme": "oauth2",
            "flow": "code",
            "authorization": "https://login.example.org/authorize",
            "token": "https://login.example.org/token",
            "scopes": ["operator", "viewer"],
        },
        "machines": {"scheme": "oauth2", "flow": "client", "token": "https://login.example.org/t"},
        "login": {"scheme": "combo", "oneOf": ["token", "password"]},
        "both": {"scheme": "combo", "allOf": ["token", "key"]},
        "other": {"scheme": "ace:ACESecurityScheme", "ace:as": "https://as.example.org"},
    },
    "schemaDefinitions": {
        "problem": {"type": "object", "properties": {"title": {"type": "string"}}}
    },
    "uriVariables": {"lang": {"type": "string"}},
    "properties": {
        "level": {
            "@type": "om:Luminance",
            "title": "Level",
            "type": "number",
            "minimum": 0,
            "exclusiveMaximum": 100.5,
            "multipleOf": 0.5,
            "unit": "om:percent",
            "observable": True,
            "readOnly": False,
            "writeOnly": False,
            "default": None,
            "uriVariables": {"channel": {"type": "integer", "minimum": 0}},
            "forms": [
                {
                    "href": "level{?channel,lang}",
                    "op": "readproperty",
                    "contentType": "application/json",
                    "htv:methodName": "GET",
                    "additionalResponses": [
                        {
                            "success": False,
                            "contentType": "application/problem+json",
                            "schema": "problem",
                        }
                    ],
                },
                {
                    "href": "level",
                    "op": ["observeproperty", "unobserveproperty"],
                    "subprotocol": "longpoll",
                    "security": "token",
                    "scopes": ["viewer"],
                    "contentCoding": "gzip",
                },
            ],
        },
        "pattern": {
            "oneOf": [{"type": "null"}, {"type": "string", "const": "off"}],
            "forms": [{"href": "pattern"}],
        },
        "pair": {
            "type": "array",
            "items": [{"type": "integer"}, {"enum": ["a", None]}],
            "minItems": 2,
            "maxItems": 2,
            "forms": [{"href": "pair"}],
        },
        "image": {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": "image/png",
            "minLength": 1,
            "maxLength": 9,
            "pattern": "^iVBOR",
            "format": "byte",
            "forms": [{"href": "image"}],
        },
    },
    "actions": {
        "flash": {
            "description": "Flash.",
            "input": {
                "type": "object",
                "properties": {"times": {"type": "array", "items": {"type": "integer"}}},
                "required": ["times"],
            },
            "output": {"type": "boolean"},
            "safe": False,
            "idempotent": False,
            "synchronous": False,
            "uriVariables": {"actionID": {"type": "string"}},
            "forms": [
                {
                    "href": "flash",
                    "op": "invokeaction",
                    "response": {"contentType": "application/json"},
                },
                {"href": "flash/{actionID}", "op": ["queryaction", "cancelaction"]},
                {"href": "https://other.example.org/{+key}/flash"},
            ],
        }
    },
    "events": {
        "overheated": {
            "subscription": {"type": "number"},
            "data": {"type": "number"},
            "dataResponse": {"type": "null"},
            "cancellation": {},
            "forms": [{"href": "overheated", "op": "subscribeevent", "subprotocol": "sse"}],
        }
    },
    "links": [
        {
            "href": "https://example.org/manual",
            "rel": "manual",
            "type": "text/html",
            "hreflang": "en",
        },
        {"href": "/icon.png", "rel": "icon", "sizes": "16x16 32x32", "anchor": "#lamp"},
    ],
    "forms": [
        {"href": "properties", "op": "readallproperties"},
        {"href": "properties", "op": ["writemultipleproperties", "observeallproperties"]},
    ],
    "labthings:extra": {"anything": [1, None]},
}

MINIMAL: dict[str, Any] = {
    "@context": "https://www.w3.org/2022/wot/td/v1.1",
    "title": "T",
    "security": "nosec_sc",
    "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}},
}

REMOVED = object()


def lamp(*path: str | int, to: Any) -> dict[str, Any]:
    """Return the lamp with one member changed, added or removed."""
    document = copy.deepcopy(LAMP)
    place: Any = document
    for part in path[:-1]:
        place = place[part]
    if to is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return document


@pytest.mark.parametrize("document", [LAMP, MINIMAL])
def test_a_good_description_passes_and_comes_back_unchanged(document):
    assert validate(document) is None
    assert parse(document).model_dump(mode="json", exclude_unset=True) == document


def test_a_model_gives_typed_access():
    td = parse(LAMP)
    assert isinstance(td, ThingDescription)
    assert td.properties is not None
    assert td.properties["level"].exclusiveMaximum == 100.5
    assert td.at_type == ["Thing", "om:Device"]
    assert td.properties["level"].readOnly is False
    assert td.actions is not None
    flash_input = td.actions["flash"].input
    assert flash_input is not None
    assert flash_input.properties is not None
    times = flash_input.properties["times"]
    assert times.type is not None
    assert times.type.value == times.type == "array"


def test_numbers_keep_their_kind():
    level = parse(LAMP).model_dump(mode="json")["properties"]["level"]
    assert type(level["minimum"]) is int


@pytest.mark.parametrize(
    "context",
    [
        ["https://www.w3.org/2022/wot/td/v1.1"],
        ["https://www.w3.org/2019/wot/td/v1", "https://www.w3.org/2022/wot/td/v1.1"],
        ["https://www.w3.org/2022/wot/td/v1.1", "https://example.org/context"],
    ],
)
def test_contexts_that_the_standard_allows(context):
    assert validate({**MINIMAL, "@context": context}) is None


@pytest.mark.parametrize(
    "context",
    [
        "https://example.org/another/context",
        [{"om": "http://example.org/"}, "https://www.w3.org/2022/wot/td/v1.1"],
        ["https://www.w3.org/2022/wot/td/v1.1", "https://www.w3.org/2019/wot/td/v1"],
        ["https://www.w3.org/2022/wot/td/v1.1", 3],
        None,
    ],
)
def test_contexts_that_the_standard_forbids(context):
    with pytest.raises(ThingDescriptionError, match=r"\n  @context"):
        validate({**MINIMAL, "@context": context})


@pytest.mark.parametrize("member", ["@context", "title", "security", "securityDefinitions"])
def test_what_must_be_there(member):
    with pytest.raises(ThingDescriptionError, match=f"the document: '{member}' is a required"):
        validate({key: value for key, value in MINIMAL.items() if key != member})


LEVEL = ("properties", "level")
SECURITY = ("securityDefinitions",)


@pytest.mark.parametrize(
    ("path", "to", "where"),
    [
        (("id",), "lamp 1", "id"),
        (("id",), "lamp", "id"),
        (("title",), 3, "title"),
        (("title",), None, "title"),
        (("titles",), {"de": 3}, "titles.de"),
        (("description",), None, "description"),
        (("version",), {"model": "1"}, "version"),
        (("created",), "yesterday", "created"),
        (("created",), "2024-05-01", "created"),
        (("modified",), "2024-13-01T00:00:00Z", "modified"),
        (("base",), 3, "base"),
        (("@type",), "tm:ThingModel", "@type"),
        (("@type",), ["tm:ThingModel"], r"@type\[0\]"),
        (("security",), [], "security"),
        (("security",), "missing", "security"),
        (("security",), ["token", "missing"], "security"),
        (("securityDefinitions",), {}, "securityDefinitions"),
        ((*SECURITY, "token"), {}, "securityDefinitions.token"),
        ((*SECURITY, "token"), {"scheme": "magic"}, "securityDefinitions.token"),
        ((*SECURITY, "token", "in"), "uri", "securityDefinitions.token.in"),
        ((*SECURITY, "token", "authorization"), 3, "securityDefinitions.token.authorization"),
        ((*SECURITY, "digest_sc", "qop"), "x", "securityDefinitions.digest_sc.qop"),
        ((*SECURITY, "login", "oneOf"), ["token"], "securityDefinitions.login.oneOf"),
        ((*SECURITY, "login", "oneOf"), REMOVED, "securityDefinitions.login"),
        ((*SECURITY, "login", "allOf"), ["key", "token"], "securityDefinitions.login"),
        ((*SECURITY, "login", "oneOf"), ["token", "gone"], "securityDefinitions.login"),
        ((*SECURITY, "oauth", "token"), 3, "securityDefinitions.oauth.token"),
        (("schemaDefinitions", "problem", "type"), "file", "schemaDefinitions.problem.type"),
        (("schemaDefinitions", "other"), True, "schemaDefinitions.other"),
        (("uriVariables", "lang", "type"), "text", "uriVariables.lang.type"),
        ((*LEVEL, "forms"), REMOVED, "properties.level"),
        ((*LEVEL, "forms"), [], "properties.level.forms"),
        ((*LEVEL, "observable"), "yes", "properties.level.observable"),
        ((*LEVEL, "readOnly"), None, "properties.level.readOnly"),
        ((*LEVEL, "unit"), None, "properties.level.unit"),
        ((*LEVEL, "minimum"), "0", "properties.level.minimum"),
        ((*LEVEL, "minimum"), float("nan"), "the document"),
        ((*LEVEL, "multipleOf"), 0, "properties.level.multipleOf"),
        ((*LEVEL, "type"), ["number", "null"], "properties.level.type"),
        ((*LEVEL, "enum"), [], "properties.level.enum"),
        (("properties", "pair", "minItems"), -1, "properties.pair.minItems"),
        (("properties", "pair", "items", 0), True, r"properties.pair.items\[0\]"),
        (
            ("properties", "pattern", "oneOf", 1, "type"),
            "text",
            r"properties.pattern.oneOf\[1\].type",
        ),
        ((*LEVEL, "forms", 0, "href"), REMOVED, r"properties.level.forms\[0\]"),
        ((*LEVEL, "forms", 0, "href"), "level{?other}", r"properties.level.forms\[0\].href"),
        ((*LEVEL, "forms", 0, "op"), "invokeaction", r"properties.level.forms\[0\].op"),
        (
            (*LEVEL, "forms", 1, "op", 1),
            "readallproperties",
            r"properties.level.forms\[1\].op\[1\]",
        ),
        ((*LEVEL, "forms", 1, "security"), "gone", r"properties.level.forms\[1\].security"),
        ((*LEVEL, "forms", 0, "contentType"), None, r"properties.level.forms\[0\].contentType"),
        ((*LEVEL, "forms", 0, "response"), {}, r"properties.level.forms\[0\].response"),
        (
            (*LEVEL, "forms", 0, "additionalResponses", 0, "schema"),
            "gone",
            r"properties.level.forms\[0\].additionalResponses\[0\].schema",
        ),
        (("actions", "flash", "safe"), 1, "actions.flash.safe"),
        (("actions", "flash", "input"), None, "actions.flash.input"),
        (
            ("actions", "flash", "input", "properties", "times"),
            3,
            "actions.flash.input.properties.times",
        ),
        (("actions", "flash", "uriVariables"), REMOVED, r"actions.flash.forms\[1\].href"),
        (("actions", "flash", "forms", 0, "op"), "readproperty", r"actions.flash.forms\[0\].op"),
        (("events", "overheated", "data"), [], "events.overheated.data"),
        (
            ("events", "overheated", "forms", 0, "op"),
            "observeproperty",
            r"events.overheated.forms\[0\].op",
        ),
        (("forms", 0, "op"), REMOVED, r"forms\[0\]"),
        (("forms", 0, "op"), "readproperty", r"forms\[0\].op"),
        (("forms",), [], "forms"),
        (("links", 0, "href"), REMOVED, r"links\[0\].rel"),
        (("links", 0, "sizes"), "16x16", r"links\[0\].rel"),
        (("links", 1, "sizes"), "huge", r"links\[1\].sizes"),
        (("properties",), [], "properties"),
    ],
)
def test_a_violation_is_reported_at_its_place(path, to, where):
    with pytest.raises(ThingDescriptionError, match=rf"\n  {where}: "):
        validate(lamp(*path, to=to))


def test_all_violations_are_listed_with_what_was_found():
    document = lamp("version", to={})
    document["id"] = "nothing"
    with pytest.raises(ThingDescriptionError) as caught:
        validate(document)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["id", "version"]
    assert "'nothing'" in lines[0]


def test_all_undeclared_names_are_listed():
    document = lamp("security", to="gone")
    document["properties"]["level"]["forms"][0]["href"] = "{a}{?b*,c:3}"
    with pytest.raises(ThingDescriptionError) as caught:
        validate(document)
    assert [word for word in ("'gone'", "'a'", "'b'", "'c'") if word in str(caught.value)] == [
        "'gone'",
        "'a'",
        "'b'",
        "'c'",
    ]


@pytest.mark.parametrize("document", [None, 3, [], "td"])
def test_what_is_no_object_is_no_description(document):
    with pytest.raises(ThingDescriptionError, match="the document: "):
        validate(document)
