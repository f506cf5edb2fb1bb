from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labthings_fastapi.schemas import json_text
from labthings_fastapi.schemas.json_text import defect, has_unusual_number

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(PLAIN)
def test_json_has_no_defect(value):
    assert defect(json.dumps(value).encode()) is None


@given(st.dictionaries(st.text(max_size=3), PLAIN, min_size=1), st.data())
def test_a_repeated_member_is_found_whatever_its_name_and_place(members, data):
    name = data.draw(st.sampled_from(sorted(members)))
    text = json.dumps([{"outer": members}])[:-3]
    comma = ", " + json.dumps(name) + " : 1}}]"
    assert "is there twice" in (defect((text + comma).encode()) or "")


@pytest.mark.parametrize(
    "text", [b"NaN", b"[-Infinity]", b"1e999", b"-1E+400", b"9" * 400 + b".5", b'{"a": 1e999}']
)
def test_numbers_that_are_none_are_found(text):
    assert defect(text) is not None


@pytest.mark.parametrize(
    "text", [b'"NaN"', b'"1e999"', b"1e308", b"1e-999", b"9" * 400, b'{"a:": ":", "b": {"a:": 1}}']
)
def test_what_only_looks_like_it_is_json(text):
    assert defect(text) is None


@pytest.fixture(params=[7, 64 * 1024], ids=["pieces of 7 bytes", "one piece"])
def piece(request, monkeypatch):
    """Search long texts in small pieces, so that what is found may lie across two of them."""
    monkeypatch.setattr(json_text, "_PIECE", request.param)


@pytest.mark.usefixtures("piece")
@given(
    st.lists(
        st.sampled_from(
            [b"NaN", b"Infinity", b"e1", b"E+20", b"e", b"+", b"12", b"0" * 199, b"0", b" ", b"x"]
        ),
        max_size=20,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_long_text_is_searched_like_a_short_one(parts):
    text = b"".join(parts)
    assert has_unusual_number(text) == bool(json_text._UNUSUAL.search(text))


@pytest.mark.usefixtures("piece")
@given(st.lists(st.text(st.sampled_from('ab\\":, \n'), max_size=30), max_size=6), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_of_a_long_text_are_found_like_those_of_a_short_one(texts, repeats):
    members = {name: name for name in texts}
    text = json.dumps(members, indent=1).encode()
    if members and repeats:
        again = json.dumps(next(iter(members))).encode()
        text = text[:-2] + b"," + again + b"\n : 1}"
        assert "is there twice" in (defect(text) or "")
    else:
        assert defect(text) is None
    found = [name for name, colon in json_text._STRINGS.findall(text) if colon]
    assert list(json_text._names(text)) == found


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("text", ['"', '{"a": "', '{"a":"b\\', '{"a\\', '{"a":"b\\"', '"\\"'])
def test_a_text_that_breaks_off_has_an_end(text):
    assert len(list(json_text._names(text.encode()))) <= 1
