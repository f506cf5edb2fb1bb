from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labthings_fastapi.security.authentication import (
    Authenticator,
    NamePassword,
    basic_pair,
    bearer_token,
    cookie_value,
)
from labthings_fastapi.security.credentials import new_password, new_token
from labthings_fastapi.security.sessions import (
    MOST_PER_CREDENTIAL,
    MOST_SESSIONS,
    SESSION_SECONDS,
    Sessions,
)


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class TestHeaders:
    def test_a_bearer_token_is_what_follows_the_scheme(self):
        assert bearer_token("Bearer lt_x") == "lt_x"
        assert bearer_token("bearer  lt_x ") == "lt_x"
        for other in ("", "Bearer", "Bearer ", "Basic lt_x", "lt_x"):
            assert bearer_token(other) is None

    def test_a_basic_pair_is_split_at_the_first_colon(self):
        assert basic_pair(basic("alice", "a:b")) == ("alice", "a:b")
        assert basic_pair(basic("", "")) == ("", "")
        for other in ("", "Basic", "Basic !!", "Basic YQ==", "Bearer YTpi"):
            assert basic_pair(other) is None

    @given(st.text())
    def test_no_header_makes_reading_fail(self, text):
        bearer_token(text)
        basic_pair(text)
        basic_pair(f"Basic {text}")
        cookie_value(text, "a")

    def test_a_cookie_is_found_by_its_whole_name(self):
        assert cookie_value("a=1; session=x=y; b=2", "session") == "x=y"
        assert cookie_value("xsession=1;sessionx=2", "session") is None
        assert cookie_value("", "session") is None


@pytest.fixture
def people():
    return [new_password("bob", "correct horse", "viewer")]


class TestAuthenticator:
    def test_a_token_authenticates_its_actor(self):
        credential, text = new_token("alice", "operator")
        authenticator = Authenticator(lambda: [credential])
        assert authenticator.actor(f"Bearer {text}", None) == credential.actor
        assert authenticator.actor("Bearer no", None) is None
        assert authenticator.actor(None, None) is None

    def test_a_token_may_stand_in_the_place_of_a_password(self):
        credential, text = new_token("alice", "operator")
        authenticator = Authenticator(lambda: [credential])
        assert authenticator.actor(basic("any name", text), None) == credential.actor

    def test_a_revoked_or_expired_token_opens_nothing(self):
        time = [datetime(2026, 1, 1, tzinfo=UTC)]
        credential, text = new_token("alice", "viewer", expires=time[0] + timedelta(days=1))
        known = [credential]
        authenticator = Authenticator(lambda: known, now=lambda: time[0])
        assert authenticator.actor(f"Bearer {text}", None) is not None
        time[0] += timedelta(days=2)
        assert authenticator.actor(f"Bearer {text}", None) is None
        time[0] -= timedelta(days=2)
        known.clear()
        assert authenticator.actor(f"Bearer {text}", None) is None

    def test_a_password_is_known_once_it_was_checked(self, people):
        authenticator = Authenticator(lambda: people)
        pair = NamePassword("bob", "correct horse")
        assert authenticator.actor(basic(*pair), None) is None
        found = authenticator.check(pair)
        authenticator.remember(pair, found)
        assert authenticator.actor(basic(*pair), None) == people[0].actor
        assert authenticator.actor(basic("bob", "correct horsE"), None) is None
        assert authenticator.actor(basic("bo", "bcorrect horse"), None) is None

    def test_a_password_that_was_revoked_is_not_remembered(self, people):
        known = list(people)
        authenticator = Authenticator(lambda: known)
        pair = NamePassword("bob", "correct horse")
        authenticator.remember(pair, authenticator.check(pair))
        known.clear()
        assert authenticator.remembered(pair) is None

    def test_a_session_lasts_as_long_as_the_credential_it_was_begun_with(self):
        credential, _ = new_token("alice", "operator")
        known = [credential]
        authenticator = Authenticator(lambda: known, cookie="lab")
        cookie = f"lab={authenticator.sessions.begin(credential.hash)}"
        assert authenticator.actor(None, cookie) == credential.actor
        assert authenticator.actor(None, "lab=invented") is None
        assert authenticator.actor(None, cookie.replace("lab=", "other=")) is None
        known.clear()
        assert authenticator.actor(None, cookie) is None

    def test_a_wrong_header_is_not_made_good_by_a_cookie(self):
        credential, _ = new_token("alice", "operator")
        authenticator = Authenticator(lambda: [credential], cookie="lab")
        cookie = f"lab={authenticator.sessions.begin(credential.hash)}"
        assert authenticator.actor("Bearer wrong", cookie) is None


class TestSessions:
    def test_a_session_ends_by_itself(self):
        time = [0.0]
        sessions = Sessions(clock=lambda: time[0])
        id = sessions.begin("hash")
        time[0] = SESSION_SECONDS - 1
        assert sessions.find(id) == "hash"
        time[0] = SESSION_SECONDS
        assert sessions.find(id) is None

    def test_a_session_is_ended_once_and_harmlessly_twice(self):
        sessions = Sessions()
        id = sessions.begin("hash")
        sessions.end(id)
        sessions.end(id)
        assert sessions.find(id) is None

    def test_their_number_is_bounded_and_the_oldest_goes(self):
        sessions = Sessions()
        first, second = sessions.begin("a"), sessions.begin("b")
        for number in range(MOST_SESSIONS - 1):
            sessions.begin(f"hash {number}")
        assert sessions.find(first) is None
        assert sessions.find(second) == "b"


def test_too_many_sessions_of_one_credential_end_its_oldest_only():
    sessions = Sessions()
    other = sessions.begin("another's hash")
    ids = [sessions.begin("a hash") for _ in range(MOST_PER_CREDENTIAL + 1)]
    assert sessions.find(ids[0]) is None
    assert all(sessions.find(id) == "a hash" for id in ids[1:])
    assert sessions.find(other) == "another's hash"
