"""The command `labthings` against real servers: in this process, and as one of its own."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import labthings_fastapi as lt
from labthings_fastapi.command.app import app
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_token

Done = subprocess.CompletedProcess[str]
COMMAND = (sys.executable, "-m", "labthings_fastapi.command")
PATIENCE = 50.0


class Mode(Enum):
    COARSE = "coarse"
    FINE = "fine"


class Place(BaseModel):
    """A place on the slide."""

    x: float
    when: datetime
    mode: Mode = Mode.COARSE


class Picture(lt.blob.Blob):
    media_type = "image/png"


class Stage(lt.Thing):
    """A stage for the shell."""

    speed: float = lt.property(default=1.0, gt=0, le=50, unit="mm/s")
    """Speed of all axes."""
    mode: Mode = lt.property(default=Mode.COARSE)
    label: str = lt.property(default="")
    enabled: bool = lt.property(default=True)
    corner: list[float] = lt.property(default_factory=list)
    place: Place = lt.property(
        default=Place(x=1.5, when=datetime(2026, 5, 1, tzinfo=UTC)), readonly=True
    )
    overheated: float = lt.event()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.moving = threading.Event()
        self.halted = threading.Event()

    @lt.property
    def broken(self) -> float:
        raise OSError("no answer from the bridge")

    @lt.action
    def move(self, distance: float, axis: Literal["x", "y"] = "x", name: str = "") -> float:
        """Move along an axis.

        Args:
            distance: how far (mm)
            axis: which one
            name: of the move
        """
        self.logger.info("moving along %s %s", axis, name)
        return distance * 2

    @lt.action
    def locate(self, near: Place | None = None, mode: Mode = Mode.FINE) -> list[Place]:
        found = near or Place(x=0, when=datetime(2026, 5, 1, tzinfo=UTC))
        return [found.model_copy(update={"mode": mode})]

    @lt.action
    def travel(self) -> None:
        self.logger.info("under way")
        self.moving.set()
        lt.cancellable_sleep(600)

    @lt.action
    def scan(self, rows: int) -> Iterator[int]:
        for row in range(rows):
            lt.progress(row + 1, rows)
            yield row * row

    @lt.action
    def fail(self) -> None:
        raise ValueError("axis x: end switch")

    @lt.action
    def heat(self, to: float) -> None:
        self.overheated.emit(to)

    @lt.action
    def snap(self) -> Picture:
        return Picture.from_bytes(b"a picture")

    @lt.action
    def leave(self) -> None:
        folder = lt.output_folder() / "scan"
        folder.mkdir()
        (folder / "table.csv").write_bytes(b"1,2\n")

    @lt.action
    def length(self, blob: lt.blob.Blob) -> int:
        return len(blob.content)

    @lt.action(stop=True)
    def halt(self) -> None:
        self.halted.set()


@pytest.fixture
def server() -> lt.ThingServer:
    return lt.ThingServer.from_things({"stage": Stage})


@pytest.fixture
def url(server: lt.ThingServer, running_server: Any) -> str:
    return str(running_server(server).url)


@pytest.fixture
def stage(server: lt.ThingServer) -> Any:
    return server.things["stage"]


@pytest.fixture
def environment(url: str, tmp_path: Path) -> dict[str, str]:
    """Variables for the command: the server, and a folder of the user that is empty."""
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    kept = {name: value for name, value in os.environ.items() if name != "LABTHINGS_TOKEN"}
    return {**kept, **home, "LABTHINGS_SERVER": url}


Labthings = Callable[..., Done]


@pytest.fixture
def labthings(environment: dict[str, str]) -> Labthings:
    """Run the command in this process: quicker, and measured with the rest."""

    def run(*arguments: str, code: int = 0, input: str | None = None, **env: str) -> Done:
        result = CliRunner().invoke(
            app,
            arguments,
            input=input or "",
            env={"LABTHINGS_TOKEN": None, **environment, **env},
            prog_name="labthings",
            catch_exceptions=False,
        )
        done = Done(arguments, result.exit_code, result.stdout, result.stderr)
        assert done.returncode == code, f"{done.returncode}: {done.stdout}\n{done.stderr}"
        return done

    return run


def as_json(done: Done) -> Any:
    return json.loads(done.stdout)


def as_lines(done: Done) -> list[Any]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_things_lists_the_things_of_the_server(labthings: Labthings) -> None:
    (found,) = as_json(labthings("things", "--json"))
    assert found["name"] == "stage"
    assert "move" in found["actions"]
    assert labthings("things").stdout.startswith("stage\t")


def test_describe_names_units_and_limits_and_marks_emergency_stops(labthings: Labthings) -> None:
    text = labthings("describe", "stage").stdout
    assert "stage.speed\ta number in mm/s, > 0, ≤ 50" in text
    assert "stage.halt\t() -> Any (emergency stop)" in text
    assert as_json(labthings("describe", "stage", "--json"))["title"] == "Stage"


def test_output_to_a_pipe_has_no_colours(labthings: Labthings) -> None:
    outputs = [
        labthings(*each).stdout for each in (("things",), ("describe", "stage"), ("--help",))
    ]
    assert not any("\x1b" in text for text in outputs)


def test_get_prints_one_value_as_it_is_and_several_with_names(labthings: Labthings) -> None:
    assert labthings("get", "stage.mode").stdout == "coarse\n"
    assert as_json(labthings("get", "stage.mode", "--json")) == "coarse"
    both = as_json(labthings("get", "stage.mode", "stage.speed", "--json"))
    assert both == {"stage.mode": "coarse", "stage.speed": 1.0}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("speed", "3", 3.0),
        ("speed", "2.5 mm/s", 2.5),
        ("mode", "fine", "fine"),
        ("label", "3", "3"),
        ("enabled", "off", False),
        ("corner", "1,2.5", [1.0, 2.5]),
        ("corner", "[3]", [3.0]),
    ],
)
def test_set_reads_a_value_as_the_schema_says(
    labthings: Labthings, name: str, text: str, value: Any
) -> None:
    labthings("set", f"stage.{name}", text)
    assert as_json(labthings("get", f"stage.{name}", "--json")) == value


@pytest.mark.parametrize("text", ["fast", "2.5 m/s", "1,5", "true", "1_0"])
def test_a_text_that_is_no_value_is_usage_and_the_error_names_the_unit(
    labthings: Labthings, text: str
) -> None:
    done = labthings("set", "stage.speed", text, code=2)
    assert f"stage.speed: {text!r} is not a number in mm/s, > 0, ≤ 50." in done.stderr
    assert as_json(labthings("get", "stage.speed", "--json")) == 1.0


def test_a_value_that_the_server_refuses_is_4_and_the_error_names_the_unit(
    labthings: Labthings,
) -> None:
    done = labthings("set", "stage.speed", "60", code=4)
    assert "a number in mm/s, > 0, ≤ 50" in done.stderr


def test_a_property_that_cannot_be_read_is_1(labthings: Labthings) -> None:
    assert "no answer from the bridge" in labthings("get", "stage.broken", code=1).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("get",),
        ("get", "stage"),
        ("get", "stag.speed"),
        ("get", "stage.sped"),
        ("run", "stage.moves"),
        ("run", "stage.move"),
        ("run", "stage.move", "distance=far"),
        ("run", "stage.move", "distance=1", "way=2"),
        ("run", "stage.move", "1"),
        ("run", "stage.move", "distance=1", "--input", "-"),
        ("run", "stage.move", "--follow", "--detach", "distance=1"),
        ("show", "00000000-0000-4000-8000-000000000000"),
        ("cancel", "zzz"),
    ],
)
def test_what_means_nothing_is_2_and_moves_nothing(
    labthings: Labthings, arguments: tuple[str, ...]
) -> None:
    assert labthings(*arguments, code=2).stderr
    assert as_json(labthings("runs", "--json")) == []


def test_a_wrong_name_is_answered_with_the_nearest_one(labthings: Labthings) -> None:
    assert "Did you mean 'speed'?" in labthings("get", "stage.sped", code=2).stderr


def test_a_server_that_does_not_answer_is_3(labthings: Labthings) -> None:
    for arguments in (("things",), ("stop",), ("runs",), ("events",)):
        labthings(*arguments, "--server", "http://127.0.0.1:9", code=3)


def test_run_prints_the_output_and_tells_the_log_apart(labthings: Labthings) -> None:
    done = labthings("run", "stage.move", "distance=3", "name=3")
    assert done.stdout == "6.0\n"
    assert "INFO: moving along x 3" in done.stderr


def test_run_with_json_prints_one_document_of_the_run(labthings: Labthings) -> None:
    run = as_json(labthings("run", "stage.move", "distance=3", "name=3", "--json"))
    assert run["input"] == {"distance": 3.0, "axis": "x", "name": "3"}
    assert (run["status"], run["output"]) == ("completed", 6.0)


@pytest.mark.parametrize("from_stdin", [True, False])
def test_the_input_may_be_json(labthings: Labthings, tmp_path: Path, from_stdin: bool) -> None:
    text = '{"distance": 4, "axis": "y"}'
    (tmp_path / "input.json").write_text(text)
    file = "-" if from_stdin else str(tmp_path / "input.json")
    assert labthings("run", "stage.move", "--input", file, input=text).stdout == "8.0\n"


def test_results_are_printed_once_as_they_come(labthings: Labthings) -> None:
    assert labthings("run", "stage.scan", "rows=4").stdout.split() == ["0", "1", "4", "9"]
    lines = as_lines(labthings("run", "stage.scan", "rows=4", "--follow", "--json"))
    assert [each["data"] for each in lines if each["event"] == "result"] == [0, 1, 4, 9]
    assert lines[-1]["event"] == "end"
    assert lines[-1]["data"]["status"] == "completed"


def test_a_run_that_fails_is_1_and_says_why(labthings: Labthings) -> None:
    assert "axis x: end switch" in labthings("run", "stage.fail", code=1).stderr
    assert as_json(labthings("run", "stage.fail", "--json", code=1))["status"] == "error"


def test_detached_runs_are_shown_followed_and_cancelled(labthings: Labthings, stage: Any) -> None:
    id = labthings("run", "--detach", "stage.travel").stdout.strip()
    assert stage.moving.wait(PATIENCE)
    assert as_json(labthings("show", id[:8], "--json"))["status"] == "running"
    (listed,) = as_json(labthings("runs", "--status", "running", "--json"))
    assert listed["id"] == id
    assert "running" in labthings("runs").stdout
    labthings("cancel", id)
    labthings("logs", id, "--follow")
    shown = labthings("show", id).stdout
    assert "status\tcancelled" in shown
    assert "has already finished (cancelled)" in labthings("cancel", id, code=4).stderr


def test_logs_are_printed(labthings: Labthings) -> None:
    run = as_json(labthings("run", "stage.move", "distance=1", "--json"))
    (entry,) = as_json(labthings("logs", run["id"], "--json"))
    assert entry["message"] == "moving along x "
    assert "INFO: moving along x" in labthings("logs", run["id"]).stdout


def test_runs_are_filtered(labthings: Labthings) -> None:
    labthings("run", "stage.fail", code=1)
    labthings("run", "stage.move", "distance=1")
    (failed,) = as_json(labthings("runs", "--status", "error", "--json"))
    assert failed["action"] == "fail"
    assert len(as_json(labthings("runs", "--thing", "stage", "--json"))) == 2
    assert len(as_json(labthings("runs", "--limit", "1", "--json"))) == 1


@pytest.fixture
def popen(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("options", [(), ("--json",), ("--follow", "--json")])
def test_ctrl_c_cancels_the_run_and_is_130(
    popen: Any, stage: Any, labthings: Labthings, options: tuple[str, ...]
) -> None:
    process = popen("run", "stage.travel", *options)
    assert stage.moving.wait(PATIENCE)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "was cancelled, and has stopped" in errors
    (run,) = as_json(labthings("runs", "--json"))
    assert run["status"] == "cancelled"


def test_a_run_that_somebody_else_cancelled_is_130(
    popen: Any, stage: Any, labthings: Labthings
) -> None:
    process = popen("run", "stage.travel")
    assert stage.moving.wait(PATIENCE)
    (run,) = as_json(labthings("runs", "--json"))
    labthings("cancel", run["id"])
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130


def test_stop_invokes_the_stop_actions_and_cancels_all_runs(
    popen: Any, stage: Any, labthings: Labthings
) -> None:
    process = popen("run", "stage.travel")
    assert stage.moving.wait(PATIENCE)
    report = as_json(labthings("stop", "--json"))
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert stage.halted.is_set()
    assert [each["outcome"] for each in report] == ["done", "cancelled"]
    (halt,) = as_json(labthings("runs", "--action", "halt", "--json"))
    assert halt["status"] == "completed"


def test_watch_prints_values_as_lines_and_as_csv(
    popen: Any, labthings: Labthings, stage: Any
) -> None:
    process = popen("watch", "stage.speed", "--json", "-n", "2")
    assert json.loads(process.stdout.readline())["value"] == 1.0
    labthings("set", "stage.speed", "7")
    assert json.loads(process.stdout.readline())["value"] == 7.0
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    done = labthings("watch", "stage.mode", "stage.speed", "--csv", "-n", "2")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["property"]: row["value"] for row in rows} == {
        "stage.mode": "coarse",
        "stage.speed": "7.0",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_watching_with_130(popen: Any) -> None:
    process = popen("watch", "stage.speed")
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130


def test_events_prints_what_has_happened_and_goes_on_with_f(
    popen: Any, labthings: Labthings
) -> None:
    labthings("run", "stage.heat", "to=81")
    found = as_json(labthings("events", "--json"))
    assert [each["data"]["data"] for each in found if each["event"] == "event"] == [81.0]
    process = popen("events", "-f", "--json")
    for line in process.stdout:
        if json.loads(line)["event"] == "event":
            break
    labthings("run", "stage.heat", "to=82")
    values = (json.loads(line) for line in process.stdout)
    assert next(each for each in values if each["event"] == "event")["data"]["data"] == 82.0


def test_download_fetches_a_binary_output_and_replaces_no_file(
    labthings: Labthings, tmp_path: Path
) -> None:
    run = as_json(labthings("run", "stage.snap", "--json"))
    folder = tmp_path / "got"
    (path,) = as_json(labthings("download", run["id"], "--to", str(folder), "--json"))
    assert Path(path).read_bytes() == b"a picture"
    assert Path(path).name == "output.png"
    assert "exists" in labthings("download", run["id"], "--to", str(folder), code=2).stderr
    labthings("download", run["id"], "--to", str(folder), "--force")
    labthings("download", run["id"], "other.txt", "--to", str(folder), code=2)


def test_files_of_a_run_are_listed_and_fetched(labthings: Labthings, tmp_path: Path) -> None:
    run = as_json(labthings("run", "stage.leave", "--json"))
    (file,) = as_json(labthings("files", run["id"], "--json"))
    assert (file["name"], file["size"]) == ("scan/table.csv", 4)
    assert "scan/table.csv" in labthings("files", run["id"]).stdout
    folder = tmp_path / "got"
    (path,) = as_json(labthings("download", run["id"], "--to", str(folder), "--json"))
    assert Path(path) == folder / "scan" / "table.csv"
    assert Path(path).read_bytes() == b"1,2\n"


def test_a_run_is_pinned_and_unpinned(labthings: Labthings) -> None:
    id = as_json(labthings("run", "stage.leave", "--json"))["id"]
    assert "pinned" in labthings("pin", id[:13]).stdout
    assert as_json(labthings("show", id, "--json"))["pinned"] is True
    assert as_json(labthings("unpin", id, "--json")) == {"id": id, "pinned": False}
    assert "pinned" not in as_json(labthings("show", id, "--json"))
    labthings("pin", "00000000-0000-0000-0000-000000000000", code=2)


def test_an_uploaded_file_is_an_input(labthings: Labthings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2\n", "utf-8")
    link = as_json(labthings("upload", str(tmp_path / "a.csv"), "--json"))
    assert (link["media_type"], link["size"]) == ("text/csv", 4)
    run = as_json(labthings("run", "stage.length", f"blob={json.dumps(link)}", "--json"))
    assert run["output"] == 4
    href = labthings("upload", str(tmp_path / "a.csv"), "--type", "text/plain").stdout
    assert "/blob/" in href


def test_discover_reads_directories(labthings: Labthings, url: str) -> None:
    done = labthings("discover", url, "--seconds", "0", "--json")
    (found,) = as_json(done)
    assert found["name"] == "stage"
    assert found["url"] == f"{url}/stage/"


@pytest.fixture
def guarded(tmp_path: Path, running_server: Any) -> tuple[str, str]:
    """A server that asks for a token, and a token."""
    folder = tmp_path / "guarded"
    credential, token = new_token("shell", "operator", {})
    CredentialFile(folder / "credentials.json").add(credential)
    guarded = lt.ThingServer.from_things({"stage": Stage}, settings_folder=folder)
    return running_server(guarded).url, token


def test_a_token_is_kept_by_login_and_forgotten_by_logout(
    labthings: Labthings, guarded: tuple[str, str], tmp_path: Path
) -> None:
    url, token = guarded
    server = ("--server", url)
    labthings("things", *server, code=4)
    labthings("login", "--token", "wrong", *server, code=4)
    file = Path(as_json(labthings("login", "--token", token, "--json", *server))["file"])
    assert file.stat().st_mode & 0o077 == 0 or sys.platform == "win32"
    assert labthings("get", "stage.mode", *server).stdout == "coarse\n"
    labthings("logout", *server)
    labthings("get", "stage.mode", *server, code=4)


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_a_script_stops_where_a_run_fails(
    environment: dict[str, str], tmp_path: Path, labthings: Labthings
) -> None:
    script = tmp_path / "measure.sh"
    script.write_text(
        f"""set -e
labthings() {{ "{sys.executable}" -m labthings_fastapi.command "$@"; }}
labthings set stage.speed 5
speed=$(labthings get stage.speed)
echo "speed $speed"
moved=$(labthings run stage.move distance=2)
echo "moved $moved"
labthings run stage.fail
labthings run stage.move distance=100
echo "never"
"""
    )
    done = subprocess.run(
        ["sh", str(script)],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert done.stdout == "speed 5.0\nmoved 4.0\n"
    moves = as_json(labthings("runs", "--action", "move", "--json"))
    assert len(moves) == 1


USE = """
from {module} import Stage{mode}
with Stage("{url}/stage/") as stage:
    stage.speed = 4
    assert stage.speed == 4.0
    assert stage.place["when"].year == 2026
    assert stage.mode is StageMode.COARSE
    stage.mode = StageMode.FINE
    assert stage.mode is StageMode.FINE
    assert stage.move(distance=2, axis=StageMoveAxis.Y) == 4.0
    assert [each["mode"] for each in stage.locate()] == ["fine"]
    assert [each["x"] for each in stage.locate(near=stage.place)] == [1.5]
    assert stage.snap().content == b"a picture"
    assert stage.scan(3) == [0, 1, 4]
    stage.halt()
print("used")
"""

USE_ASYNC = """
import asyncio
from {module} import Stage
async def main() -> None:
    async with await Stage.connect_("{url}/stage/") as stage:
        await stage.set_speed(4)
        assert await stage.get_speed() == 4.0
        assert await stage.move(distance=2) == 4.0
        assert [each["mode"] for each in await stage.locate()] == ["fine"]
asyncio.run(main())
print("used")
"""


@pytest.mark.timeout(240)  # mypy reads the whole package
@pytest.mark.parametrize("options", [(), ("--async",)])
def test_generated_code_is_stable_accepted_by_mypy_and_works(
    labthings: Labthings, url: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    code = labthings("generate-client", *options).stdout
    assert labthings("generate-client", url, *options).stdout == code
    folder = tmp_path / "generated"
    folder.mkdir()
    (folder / "stage_client.py").write_text(code, encoding="utf-8")
    template = USE_ASYNC if options else USE
    use = template.format(module="stage_client", url=url, mode=", StageMode, StageMoveAxis")
    (folder / "use.py").write_text(use, encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "stage_client.py", "use.py"],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
    used = subprocess.run(
        [sys.executable, "use.py"],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert used.stdout == "used\n", used.stderr


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("get sta", "stage.speed"),
        ("run stage.m", "stage.move"),
        ("run stage.move ", "distance="),
        ("run stage.move axis=", "axis=y"),
        ("set stage.mode ", "fine"),
        ("describe ", "stage"),
    ],
)
def test_the_shell_completes_names_and_values(
    labthings: Labthings, typed: str, offered: str
) -> None:
    words = f"labthings {typed}"
    env = {
        "_LABTHINGS_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": words,
    }
    assert offered in labthings(**env).stdout


def test_completion_is_kept_for_a_minute(
    labthings: Labthings, environment: dict[str, str], tmp_path: Path
) -> None:
    env = {"_LABTHINGS_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "labthings describe "}
    labthings(**env)
    (kept,) = (tmp_path / "config").rglob("completion/*.json")
    kept.write_text('{"another": {}}')
    assert "another" in labthings(**env).stdout
    os.utime(kept, (0, 0))
    assert "another" not in labthings(**env).stdout
