from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labthings_fastapi.schemas.json_text import defect

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
