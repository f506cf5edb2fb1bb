"""`labthings-server` as a person uses it: real processes, real files, real ports."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from servers import LABTHINGS_SERVER

LAB = """
from pathlib import Path
import labthings_fastapi as lt

class Lamp(lt.Thing):
    level: int = lt.property(default=1)

    def __init__(self, port: str = "COM1", **kwargs):
        super().__init__(**kwargs)

    def __enter__(self):
        Path("lit").touch()

    def __exit__(self, *_):
        Path("dark").touch()

class Camera(lt.Thing):
    lamp: Lamp = lt.thing_slot()

class Dead(lt.Thing):
    def __enter__(self):
        self.logger.info("looking for the laser")
        raise OSError("no power on <port 3>")

    def __exit__(self, *_):
        pass
"""
COMMAND = str(Path(sys.executable).with_name("labthings-server"))
posix = pytest.mark.skipif(os.name != "posix", reason="SIGTERM is a POSIX signal")


@pytest.fixture
def lab(tmp_path):
    """A folder with a configuration's own module, and another to start from."""
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "optics_lab.py").write_text(LAB, "utf-8")
    return folder


def write_config(folder, things, name="lab.json"):
    file = folder / name
    file.write_text(json.dumps({"things": things}), "utf-8")
    return str(file)


def run(*options, cwd):
    return subprocess.run(
        [COMMAND, *options], capture_output=True, text=True, timeout=60, cwd=cwd, check=False
    )


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(port, path, method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.fixture
def start(running_server):
    """Run `labthings-server` on a port that the system chooses, unless the options name one."""
    return running_server.process


def test_check_finds_a_configuration_fine(lab, tmp_path):
    file = write_config(lab, {"lamp": "optics_lab:Lamp", "cam": "optics_lab:Camera"})
    ended = run("check", "-c", file, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "The configuration is valid: lamp, cam.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab"]


def test_check_takes_toml_text_and_the_demo(lab):
    (lab / "lab.toml").write_text('[things]\nlamp = "optics_lab:Lamp"\n', "utf-8")
    text = json.dumps({"things": {"dead": "optics_lab:Dead"}})
    for options in (["-c", "lab.toml"], ["-j", text], ["--demo"]):
        ended = run("check", *options, cwd=lab)
        assert ended.returncode == 0, ended.stderr
        assert "The configuration is valid" in ended.stdout


@pytest.mark.parametrize("name", ["lab.json", "lab.toml"])
def test_three_mistakes_are_one_paragraph_the_same_from_serve_and_check(lab, name):
    things = {
        "lamp": {"cls": "optics_lab:Lamp", "kwargs": {"prot": "COM2"}},
        "cam": {"cls": "optics_lab:Camera", "thing_slots": {"lamp": "lmap"}},
        "stage": "nowhere:Stage",
    }
    if name == "lab.json":
        write_config(lab, things)
    else:
        (lab / name).write_text(
            '[things.lamp]\ncls = "optics_lab:Lamp"\nkwargs.prot = "COM2"\n'
            '[things.cam]\ncls = "optics_lab:Camera"\nthing_slots.lamp = "lmap"\n'
            '[things.stage]\ncls = "nowhere:Stage"\n',
            "utf-8",
        )
    serving, checked = run("-c", name, cwd=lab), run("check", "-c", name, cwd=lab)
    assert serving.returncode == checked.returncode == 3
    assert serving.stderr == checked.stderr
    assert serving.stderr.count("\n") == 1
    for expected in (
        "The configuration has 3 errors: ",
        "things.lamp.kwargs: Lamp(): got an unexpected keyword argument 'prot'",
        "things.cam.thing_slots: cam.lamp: 'lmap' is not the name of a Thing",
        "things.stage.cls: 'nowhere' cannot be imported",
    ):
        assert expected in serving.stderr


def test_what_cannot_be_made_is_the_same_from_serve_and_check(tmp_path):
    things = {"a": "labthings_fastapi.example_things:ThingThatCantInstantiate"}
    text = json.dumps({"things": things})
    serving, checked = (
        run("-j", text, "--port", "0", cwd=tmp_path),
        run("check", "-j", text, cwd="."),
    )
    assert (serving.returncode, serving.stderr) == (checked.returncode, checked.stderr)
    assert "things.a.cls: it could not be made: RuntimeError" in serving.stderr


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (["check"], 1, "give one of"),
        (["check", "-c", "nowhere.json"], 1, "there is no configuration file"),
        (["check", "-c", "x", "-j", "{}"], 1, "give one of"),
        (
            ["chekc", "-j", "{}"],
            2,
            "unknown command 'chekc'; the commands are serve, check, cert, token, user",
        ),
        (["-j", "{}", "--host", "nowhere.invalid"], 3, "'nowhere.invalid' cannot be used"),
    ],
)
def test_the_codes_are_as_promised(tmp_path, options, code, expected):
    ended = run(*options, cwd=tmp_path)
    assert (ended.returncode, expected in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_explains_the_exit_codes(tmp_path):
    ended = run("--help", cwd=tmp_path)
    assert ended.returncode == 0
    for expected in (
        "check",
        "--fallback",
        "--tolerant",
        "exit codes: 0",
        "same as without",
        "SIGTERM",
    ):
        assert expected in ended.stdout


def test_nothing_is_opened_where_the_port_is_taken(lab):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        file = write_config(lab, {"lamp": "optics_lab:Lamp"})
        ended = run("-c", file, "--port", port, "--fallback", cwd=lab)
    assert ended.returncode == 3
    assert f"Port {port} of '127.0.0.1' cannot be used: " in ended.stderr
    assert not (lab / "lit").exists()


@posix
def test_a_configurations_own_modules_are_found_from_anywhere(lab, tmp_path, start):
    running = start("-c", write_config(lab, {"lamp": "optics_lab:Lamp"}), cwd=tmp_path)
    assert ask(running.port, "/lamp/level") == (200, "1")
    assert running.stop() == 0, running.output()


@posix
def test_the_url_that_it_prints_leads_to_the_things(lab, start):
    config = {"things": {"lamp": "optics_lab:Lamp"}, "api_prefix": "/api"}
    (lab / "lab.json").write_text(json.dumps(config), "utf-8")
    running = start("-c", "lab.json", "--port", str(free_port()), cwd=lab)
    url = f"http://127.0.0.1:{running.port}/api/"
    status, index = ask(running.port, "/api/")
    assert (status, json.loads(index)["things"]) == (200, {"lamp": f"{url}lamp/"})
    assert running.stop() == 0
    assert f"Serving lamp on {url}\n" in running.output()


def test_serving_is_printed_when_it_answers_with_the_port_that_the_system_chose(lab, start):
    (lab / "slow.py").write_text(
        "import http.client, sys, labthings_fastapi as lt\n"
        "class Slow(lt.Thing):\n"
        "    def __enter__(self):\n"
        "        print('opening', flush=True)\n"
        "    def __exit__(self, *_): ...\n",
        "utf-8",
    )
    (lab / "lab.json").write_text(json.dumps({"things": {"slow": "slow:Slow"}}), "utf-8")
    command = [LABTHINGS_SERVER, "--port", "0", "-c", "lab.json"]
    with subprocess.Popen(command, cwd=lab, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "opening\n"
        line = process.stdout.readline()
        url = re.fullmatch(r"Serving slow on (http://127\.0\.0\.1:[1-9][0-9]*/)\n", line)[1]
        assert ask(int(url.rpartition(":")[2].strip("/")), "/slow/")[0] == 200
        process.terminate()
    assert process.returncode == 0


@posix
def test_a_handshake_that_is_refused_is_no_error_of_the_server(lab, start):
    running = start("-c", write_config(lab, {"lamp": "optics_lab:Lamp"}), cwd=lab)
    for path, origin, status in (("/ws", "http://elsewhere.example", 403), ("/lamp", None, 404)):
        with pytest.raises(InvalidStatus) as caught:
            connect(f"ws://127.0.0.1:{running.port}{path}", origin=origin, proxy=None)
        assert caught.value.response.status_code == status
    assert running.stop() == 0
    assert "ERROR" not in running.output()


@posix
@pytest.mark.parametrize("broken", [False, True])
def test_fallback_serves_the_error_and_the_log_until_it_is_stopped(lab, start, broken):
    things = {"laser": "optics_lab:Dead", "lamp": "optics_lab:Lamp"}
    if broken:
        things["cam"] = {"cls": "optics_lab:Camera", "thing_slots": {"lamp": "laser"}}
    running = start("-c", write_config(lab, things), "--fallback", cwd=lab)
    for method, path in (("GET", "/lamp/level"), ("POST", "/laser/fire")):
        assert ask(running.port, path, method)[0] == 307
    for method in ("GET", "POST"):
        status, page = ask(running.port, "/", method)
        assert status == 500
        if broken:
            assert "things.cam.thing_slots: cam.lamp: &#x27;laser&#x27; is a Dead" in page
        else:
            assert "OSError: no power on &lt;port 3&gt;" in page
            assert "looking for the laser" in page
        assert "<li>laser</li>" in page
    assert running.stop() == 3, running.output()
    assert "Traceback" not in running.output()


@posix
def test_fallback_stays_away_when_the_start_succeeds(lab, start):
    file = write_config(lab, {"lamp": "optics_lab:Lamp"})
    running = start("-c", file, "--fallback", cwd=lab)
    assert ask(running.port, "/lamp/level") == (200, "1")
    assert running.stop() == 0


@posix
def test_tolerant_runs_without_things_that_cannot_start_and_names_them(lab, start):
    file = write_config(lab, {"laser": "optics_lab:Dead", "lamp": "optics_lab:Lamp"})
    running = start("-c", file, "--tolerant", cwd=lab)
    status, health = ask(running.port, "/health")
    assert status == 200
    laser = json.loads(health)["things"]["laser"]
    assert datetime.fromisoformat(laser.pop("since")).utcoffset() == timedelta(0)
    assert laser == {
        "class": "Dead",
        "state": "failing",
        "error": "OSError: no power on <port 3>",
    }
    assert ask(running.port, "/lamp/level") == (200, "1")
    assert running.stop() == 0
    assert "Running without: laser" in running.output()
    assert "Traceback" not in running.output()


@posix
def test_the_app_runs_under_a_uvicorn_that_users_start(lab, start):
    (lab / "theirs.py").write_text(
        "import labthings_fastapi as lt\nfrom optics_lab import Lamp\n"
        "app = lt.ThingServer.from_things({'lamp': Lamp}).app\n",
        "utf-8",
    )
    running = start("theirs:app", cwd=lab, command=(sys.executable, "-m", "uvicorn", "--port", "0"))
    assert ask(running.port, "/lamp/level", "PUT", "5")[0] == 204
    assert ask(running.port, "/lamp/level") == (200, "5")
    running.stop()
    assert (lab / "lit").exists()
    assert (lab / "dark").exists()
