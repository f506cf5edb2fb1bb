"""`labthings-server token` and `user`, as a user calls them."""

from __future__ import annotations

import io
import json

import pytest

import labthings_fastapi as lt
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import check_password, find_token
from labthings_fastapi.server.cli import run_command


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "settings"


@pytest.fixture
def run(folder, capsys):
    def call(*words):
        code = run_command([*words, "--settings-folder", str(folder)])
        expected = capsys.readouterr()
        return code, expected.out, expected.err

    return call


def kept(folder):
    file = CredentialFile(folder / "credentials.json")
    file.refresh()
    return file.credentials


def test_a_token_is_printed_alone_and_opens_the_server(run, folder):
    code, out, err = run("token", "create", "--role", "operator")
    assert code == 0
    token = out.strip()
    assert find_token(kept(folder), token).name == "operator-1"
    assert "shown only once" in err
    assert token not in err
    server = lt.ThingServer({"settings_folder": str(folder)})
    with server.test_client() as client:
        assert client.get("/health").status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get("/health", headers=headers).status_code == 200


def test_a_token_has_a_name_roles_by_thing_and_an_expiry(run, folder):
    words = ("--name", "alice", "--role", "viewer", "--thing", "stage=admin")
    code, _, err = run("token", "create", *words, "--expires-days", "30")
    assert code == 0
    assert "'alice' (viewer, until 20" in err
    (credential,) = kept(folder)
    assert credential.things == {"stage": "admin"}
    assert (credential.expires - credential.created).days in (29, 30)
    _, out, _ = run("token", "list")
    assert out.startswith("alice: token, viewer, stage: admin, until 20")


def test_a_revoked_token_is_removed(run, folder):
    run("token", "create", "--role", "viewer", "--name", "alice")
    assert run("token", "revoke", "alice")[0] == 0
    assert kept(folder) == ()
    code, _, err = run("token", "revoke", "alice")
    assert code == 3
    assert "no credential called 'alice'" in err


def test_a_password_is_read_from_standard_input(run, folder, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert run("user", "create", "bob", "--role", "operator")[0] == 0
    assert check_password(kept(folder), "bob", "correct horse").role == "operator"
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    code, _, err = run("user", "create", "eve", "--role", "operator")
    assert code == 3
    assert "at least 8 characters" in err


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("--thing", "stage"), 1, "give the name of a Thing and one of viewer, operator, admin"),
        (("--thing", "stage=boss"), 1, "--thing stage=boss"),
        (("--expires-days", "0"), 1, "--expires-days"),
        (("--name", "a b"), 3, "'a b' is not a valid name"),
    ],
)
def test_errors_are_explained_and_nothing_is_stored(run, folder, words, code, expected):
    found, out, err = run("token", "create", "--role", "viewer", *words)
    assert (found, out) == (code, "")
    assert expected in err
    assert kept(folder) == ()


@pytest.mark.parametrize("words", [("token",), ("token", "create"), ("user", "create", "x")])
def test_unknown_or_missing_options_end_with_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        run_command(words)
    assert ended.value.code == 2
    assert "usage: labthings-server" in capsys.readouterr().err


def test_the_configuration_determines_the_file_of_credentials(tmp_path, capsys):
    config = tmp_path / "lab.json"
    for section, place in (
        ({"settings_folder": str(tmp_path / "a")}, tmp_path / "a" / "credentials.json"),
        ({"security": {"credentials": str(tmp_path / "b.json")}}, tmp_path / "b.json"),
    ):
        config.write_text(json.dumps({"things": {}, **section}))
        assert run_command(["token", "create", "--role", "admin", "-c", str(config)]) == 0
        assert place.is_file()
    assert run_command(["token", "list", "-c", str(tmp_path / "none.json")]) == 1
    both = ["token", "list", "-c", str(config), "--settings-folder", str(tmp_path)]
    assert run_command(both) == 1
    assert "cannot be combined" in capsys.readouterr().err
