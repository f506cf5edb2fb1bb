from __future__ import annotations

import contextlib
import os
import random
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from labthings_fastapi.exceptions import CredentialError
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import (
    Credential,
    check_password,
    find_token,
    new_password,
    new_token,
)
from labthings_fastapi.security.roles import Actor, required_role

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def test_a_token_is_found_by_its_text_and_the_text_is_not_stored():
    credential, text = new_token("alice", "operator")
    other, _ = new_token("bob", "viewer")
    assert find_token([other, credential], text) is credential
    assert find_token([other, credential], text + "x") is None
    assert find_token([credential], "") is None
    assert text not in credential.model_dump_json()


def test_tokens_are_long_and_never_the_same():
    texts = {new_token("a", "viewer")[1] for _ in range(100)}
    assert len(texts) == 100
    assert all(text.startswith("lt_") and len(text) >= 46 for text in texts)


def test_the_digest_of_a_token_is_no_token():
    credential, _ = new_token("alice", "admin")
    assert find_token([credential], credential.hash) is None


def test_a_password_is_checked_by_name_and_kept_as_a_salted_hash():
    alice = new_password("alice", "correct horse", "operator")
    again = new_password("alice", "correct horse", "operator")
    assert alice.hash != again.hash
    assert check_password([alice], "alice", "correct horse") is alice
    assert check_password([alice], "alice", "correct hors") is None
    assert check_password([alice], "bob", "correct horse") is None
    assert "horse" not in alice.model_dump_json()
    assert find_token([alice], "correct horse") is None


def test_a_short_password_is_refused():
    with pytest.raises(CredentialError, match=r"has 5 characters.*at least 8"):
        new_password("alice", "12345", "viewer")


def test_a_credential_may_expire():
    credential, _ = new_token("alice", "viewer", expires=NOW)
    assert credential.is_valid_at(NOW - timedelta(seconds=1))
    assert not credential.is_valid_at(NOW)
    with pytest.raises(ValidationError, match="has no time zone"):
        new_token("alice", "viewer", expires=datetime(2026, 5, 1))  # noqa: DTZ001


@pytest.mark.parametrize("name", ["", "a b", "-x", "a" * 65, "naïve", "a\nb", "a:b"])
def test_names_fit_into_a_log_and_a_header(name):
    with pytest.raises(ValidationError):
        new_token(name, "viewer")


def test_a_role_includes_lower_ones_and_may_differ_by_thing():
    actor = Actor("alice", "viewer", {"stage": "operator"})
    assert actor.may("stage", "operator")
    assert not actor.may("stage", "admin")
    assert not actor.may("camera", "operator")
    assert actor.may("camera", "viewer")
    assert not actor.may(None, "operator")
    lowered = Actor("bob", "admin", {"laser": "viewer"})
    assert not lowered.may("laser", "operator")
    assert lowered.may(None, "admin")


def test_a_change_requires_an_operator():
    assert {required_role(method) for method in ("GET", "HEAD", "OPTIONS")} == {"viewer"}
    assert {required_role(method) for method in ("POST", "PUT", "DELETE", "X")} == {"operator"}


class TestFile:
    def test_an_added_credential_is_read_by_another_reader(self, tmp_path):
        path = tmp_path / "settings" / "credentials.json"
        credential, text = new_token("alice", "viewer", {"stage": "admin"})
        CredentialFile(path).add(credential)
        other = CredentialFile(path)
        assert other.refresh()
        assert find_token(other.credentials, text).actor == Actor(
            "alice", "viewer", {"stage": "admin"}, credential.hash
        )
        assert not other.refresh()  # nothing has changed

    @pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
    def test_only_the_owner_can_read_the_file_also_after_a_change(self, tmp_path):
        path = tmp_path / "credentials.json"
        file = CredentialFile(path)
        file.add(new_token("a", "viewer")[0])
        file.add(new_token("b", "viewer")[0])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_name_belongs_to_one_credential(self, tmp_path):
        file = CredentialFile(tmp_path / "credentials.json")
        file.add(new_token("alice", "viewer")[0])
        with pytest.raises(CredentialError, match=r"called 'alice' in .* already"):
            file.add(new_token("alice", "admin")[0])
        assert file.unused_name("viewer") == "viewer-1"

    def test_a_removed_credential_is_gone_for_earlier_readers(self, tmp_path):
        path = tmp_path / "credentials.json"
        file, reader = CredentialFile(path), CredentialFile(path)
        file.add(new_token("alice", "viewer")[0])
        reader.refresh()
        file.remove("alice")
        assert reader.refresh()
        assert reader.credentials == ()
        with pytest.raises(CredentialError, match=r"no credential called 'alice' in .*: none"):
            file.remove("alice")

    def test_credentials_stay_valid_while_the_file_is_read_again(self, tmp_path, monkeypatch):
        path = tmp_path / "credentials.json"
        file, reader = CredentialFile(path), CredentialFile(path)
        file.add(new_token("alice", "viewer")[0])
        reader.refresh()
        file.add(new_token("bob", "viewer")[0])
        read, seen = Path.read_bytes, []

        def read_with_a_concurrent_reader(path):
            seen.extend(each.name for each in reader.credentials)
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", read_with_a_concurrent_reader)
        assert reader.refresh()
        assert seen == ["alice"]
        assert [each.name for each in reader.credentials] == ["alice", "bob"]

    @pytest.mark.parametrize(
        "text", ["", "{", "{}", '[{"name": "a"}]', '[{"name":"a","kind":"key","role":"x"}]']
    )
    def test_a_damaged_file_refuses_all_and_is_not_overwritten(self, tmp_path, text):
        path = tmp_path / "credentials.json"
        file = CredentialFile(path)
        file.add(new_token("alice", "viewer")[0])
        path.write_text(text)
        with pytest.raises(CredentialError, match="cannot be read"):
            file.refresh()
        assert file.credentials == ()
        with pytest.raises(CredentialError, match="cannot be read"):
            CredentialFile(path).add(new_token("bob", "admin")[0])
        assert path.read_text() == text

    @pytest.mark.parametrize("seed", range(20))
    def test_a_flipped_bit_gives_no_new_access(self, tmp_path, seed):
        path = tmp_path / "credentials.json"
        file = CredentialFile(path)
        credential, text = new_token("alice", "viewer", {"stage": "operator"})
        file.add(credential)
        file.add(new_password("bob", "correct horse", "viewer"))
        good = path.read_bytes()
        dice = random.Random(seed)  # noqa: S311 - no secret
        for _ in range(100):
            flipped = bytearray(good)
            flipped[dice.randrange(len(good))] ^= 1 << dice.randrange(8)
            path.write_bytes(flipped)
            os.utime(path, ns=(0, dice.randrange(10**18)))
            with contextlib.suppress(CredentialError):
                file.refresh()
            # A file that is still a list of credentials has the same roles.
            assert all(each.role == "viewer" for each in file.credentials)
            found = find_token(file.credentials, text)
            assert found is None or found.actor.role_for("camera") == "viewer"

    def test_many_tokens_may_be_made_at_once(self, tmp_path):
        path = tmp_path / "settings" / "credentials.json"
        names = [f"student-{number}" for number in range(20)]
        with ThreadPoolExecutor(10) as pool:
            list(
                pool.map(lambda name: CredentialFile(path).add(new_token(name, "viewer")[0]), names)
            )
        file = CredentialFile(path)
        file.refresh()
        assert {each.name for each in file.credentials} == set(names)

    def test_without_the_file_no_credential_is_valid(self, tmp_path):
        path = tmp_path / "credentials.json"
        file = CredentialFile(path)
        file.add(new_token("alice", "viewer")[0])
        path.unlink()
        assert file.refresh()
        assert file.credentials == ()
        assert not file.refresh()

    def test_a_path_that_cannot_be_written_is_named_in_the_error(self, tmp_path):
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "credentials.json"
        with pytest.raises(CredentialError, match=r"file.credentials\.json"):
            CredentialFile(path).add(new_token("alice", "viewer")[0])


def test_an_unknown_member_of_a_credential_is_an_error():
    with pytest.raises(ValidationError, match="Extra inputs"):
        Credential.model_validate(
            {"name": "a", "kind": "token", "role": "viewer", "hash": "0" * 64, "roel": "admin"}
        )


needs_modes = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")


@needs_modes
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o660, 0o777])
def test_credentials_that_others_may_write_are_refused(tmp_path, mode):
    path = tmp_path / "credentials.json"
    file = CredentialFile(path)
    file.add(new_token("alice", "operator")[0])
    path.chmod(mode)
    with pytest.raises(CredentialError, match=f"chmod 600 {path}"):
        file.refresh()
    assert file.credentials == ()
    with pytest.raises(CredentialError, match="write it"):
        CredentialFile(path).refresh()
    path.chmod(0o600)
    assert file.refresh()
    assert [each.name for each in file.credentials] == ["alice"]


@needs_modes
def test_credentials_that_others_may_replace_are_refused(tmp_path):
    folder = tmp_path / "open"
    file = CredentialFile(folder / "credentials.json")
    file.add(new_token("alice", "operator")[0])
    folder.chmod(0o777)
    with pytest.raises(CredentialError, match="everybody may replace"):
        file.refresh()
    folder.chmod(0o1777)  # as /tmp, where only the owner may
    assert file.refresh()
    folder.chmod(0o700)
    assert len(CredentialFile(file.path).credentials) == 0
    assert file.refresh()


@needs_modes
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_credentials_that_others_may_read_are_used_with_a_warning(tmp_path, mode, caplog):
    path = tmp_path / "credentials.json"
    CredentialFile(path).add(new_token("alice", "operator")[0])
    assert caplog.messages == []
    path.chmod(mode)
    file = CredentialFile(path)
    assert file.refresh()
    assert not file.refresh()
    assert [each.name for each in file.credentials] == ["alice"]
    (warning,) = caplog.messages
    assert f"chmod 600 {path}" in warning
