"""`labthings-server`: exit codes and messages of a failed start."""

from __future__ import annotations

import argparse
import json
import pickle
import re
import socket
import subprocess
import sys

import pytest

from labthings_fastapi.exceptions import ServerConfigurationError
from labthings_fastapi.server.cli import (
    config_from_args,
    get_default_parser,
    parse_args,
    serve_from_cli,
)
from labthings_fastapi.server.cli import (
    run_command as run_in_process,
)
from labthings_fastapi.server.config.files import UsageError, load_config

STAGE = {"things": {"stage": "labthings_fastapi.thing:Thing"}}

FAILING = """
import sys
import labthings_fastapi as lt

class Failing(lt.Thing):
    def __enter__(self):
        raise OSError("no power\\n  on /dev/ttyUSB0")

    def __exit__(self, *_):
        pass
"""


def run_command(*options, cwd=None):
    command = "import sys; from labthings_fastapi.server.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, *options],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        ([], 1, "give one of"),
        (["-c", "nowhere.json"], 1, "there is no configuration file 'nowhere.json'"),
        (["-c", "x.json", "-j", "{}"], 1, "give one of"),
        (["--colour", "red"], 2, "unrecognized arguments"),
        (["-j", "{}", "--port", "99999"], 2, "is not a port number"),
        (["-j", "{}", "--port", "five"], 2, "--port"),
        (["-j", "{}", "--host", "a", "--host", "b"], 2, "--host can be given only once"),
        (["-j", "{}", "--tls-cert", "a.pem"], 1, "--tls-cert and --tls-key must be given together"),
        (["-j", "{}", "--tls-key", "a.pem"], 1, "--tls-cert and --tls-key must be given together"),
        (
            ["-j", "{}", "--tls", "--tls-cert", "a.pem", "--tls-key", "b.pem"],
            1,
            "--tls cannot be combined with --tls-cert",
        ),
        (
            ["-j", "{}", "--tls-cert", "a.pem", "--tls-key", "b.pem"],
            3,
            "The certificate a.pem cannot be read: No such file or directory.",
        ),
        (["cert", "--host", "a b"], 3, "'a b' is neither a host name nor an IP address"),
        (["cert", "-c", "nowhere.json"], 1, "there is no configuration file"),
        (["-j", "{"], 3, "the text after -j is not valid JSON"),
        (["-j", "[1]"], 3, "must hold an object"),
        (["-j", '{"things": {"a": 1, "a": 2}}'], 3, "'a' occurs twice in the same object"),
        (["-j", '{"things": {"a": "no:Where"}}'], 3, "things.a.cls: 'no' cannot be imported"),
        (["-j", "[" * 100_000], 3, "not valid JSON"),
    ],
)
def test_an_error_has_a_code_and_one_paragraph(options, code, expected, tmp_path):
    ended = run_command(*options, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr
    assert expected in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_cert_makes_a_certificate_once_and_shows_it_each_time(tmp_path):
    config = json.dumps({"settings_folder": "kept", "things": {"a": "no:Where"}})
    made = run_command("cert", "-j", config, "--host", "192.0.2.7", "--host", "lab", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    shown = run_command("cert", "-j", config, cwd=tmp_path)
    assert shown.stdout == made.stdout
    lines = dict(line.split(":", 1) for line in shown.stdout.splitlines())
    assert (tmp_path / lines["Certificate"].strip()).is_relative_to(tmp_path / "kept")
    assert {"localhost", "192.0.2.7", "lab"} <= set(lines["Valid for"].strip().split(", "))
    assert re.fullmatch(r" ([0-9A-F]{2}:){31}[0-9A-F]{2} \(SHA-256\)", lines["Fingerprint"])


def test_cert_without_a_configuration_uses_the_usual_folder(tmp_path):
    assert run_command("cert", cwd=tmp_path).returncode == 0
    assert (tmp_path / "settings" / "tls" / "private-key.pem").exists()


def test_a_thing_that_cannot_start_is_named_and_the_code_is_3(tmp_path):
    (tmp_path / "failing.py").write_text(FAILING, "utf-8")
    config = json.dumps({"things": {"laser": "failing:Failing"}})
    ended = run_command("-j", config, "--port", "0", cwd=tmp_path)
    assert ended.returncode == 3, ended.stderr
    assert "Thing 'laser' could not start: OSError: no power on /dev/ttyUSB0" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_debug_shows_the_traceback(tmp_path):
    (tmp_path / "failing.py").write_text(FAILING, "utf-8")
    config = json.dumps({"things": {"laser": "failing:Failing"}})
    ended = run_command("-j", config, "--port", "0", "--debug", cwd=tmp_path)
    assert ended.returncode == 3
    assert "raise OSError(" in ended.stderr


def test_a_taken_port_is_reported_without_a_traceback(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run_command("-j", "{}", "--port", port, cwd=tmp_path)
    assert ended.returncode == 3
    assert "already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lab.json", json.dumps(STAGE)),
        ("bom.json", "\ufeff" + json.dumps(STAGE)),
        ("lab.toml", '[things]\nstage = "labthings_fastapi.thing:Thing"'),
    ],
)
def test_a_configuration_is_read_from_json_or_toml(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text, "utf-8")
    expected = {**STAGE, "settings_folder": str(tmp_path / "settings")}
    assert load_config(parse_args(["-c", str(file)])) == expected


def test_the_demo_is_a_configuration():
    assert "stage" in load_config(parse_args(["--demo"]))["things"]


def test_a_file_that_is_not_text_is_named(tmp_path):
    file = tmp_path / "photo.json"
    file.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ServerConfigurationError, match=r"photo\.json is not text"):
        load_config(parse_args(["-c", str(file)]))


def test_a_folder_is_not_a_configuration(tmp_path):
    with pytest.raises(UsageError, match="there is no configuration file"):
        load_config(parse_args(["-c", str(tmp_path)]))


def test_the_code_is_returned_to_python_code(capsys):
    assert run_in_process(["-j", "{", "--port", "0"]) == 3
    assert "not valid JSON" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["-c", "a.json", "-j", "{}"]])
def test_a_program_without_one_configuration_gets_a_runtime_error(options):
    with pytest.raises(RuntimeError, match="give one of"):
        serve_from_cli(options)


def test_a_program_without_the_file_gets_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        serve_from_cli(["-c", str(tmp_path / "nowhere.json")])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not valid JSON"),
        ('{"things": {"a": "no:Where"}}', "No module named 'no'"),
        ('{"things": {"a": "json:Where"}}', "cannot import name 'Where' from 'json'"),
        ('{"things": {"a": "json:JSONDecoder"}}', "not a Thing"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_program_with_a_wrong_configuration_ends_with_code_3(text, told, dry_run, capsys):
    with pytest.raises(SystemExit) as ended:
        serve_from_cli(["-j", text, "--port", "0"], dry_run=dry_run)
    assert ended.value.code == 3
    assert told in capsys.readouterr().err
    assert str(pickle.loads(pickle.dumps(ended.value.__cause__)))  # noqa: S301 - our own


def test_a_program_can_make_the_server_and_not_serve_it(tmp_path):
    text = json.dumps({**STAGE, "settings_folder": str(tmp_path)})
    server = serve_from_cli(["-j", text, "--debug"], dry_run=True)
    assert (list(server.things), server.debug) == (["stage"], True)


def test_options_of_a_program_of_a_laboratory(tmp_path):
    parser = argparse.ArgumentParser(parents=[get_default_parser()])
    parser.add_argument("--room", type=int)
    text = json.dumps({**STAGE, "settings_folder": str(tmp_path)})
    args = parser.parse_args(["-j", text, "--room", "5", "--fallback"])
    assert (args.room, args.fallback, args.port) == (5, True, 5000)
    assert list(config_from_args(args).things) == ["stage"]
