"""`import labthings_fastapi as lt`: the public names, and the cost of the import."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

import labthings_fastapi as lt

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTED = {
    *("AsyncThingClient", "ThingClient", "connect"),
    *("DataProperty", "DataSetting", "Event", "Thing", "ThingClassSettings", "ThingConfig"),
    *("ThingServer", "ThingServerConfig", "ThingServerInterface", "ThreadWithInvocationID"),
    *("action", "blob", "cancellable_sleep", "cli", "endpoint", "event", "get_thing_logger"),
    *(
        "hold",
        "outputs",
        "progress",
        "property",
        "raise_if_cancelled",
        "setting",
        "shield",
        "thing_slot",
    ),
    "output_folder",
    "track",
}
ONLY_SERVING_NEEDS = {
    *("uvicorn", "labthings_fastapi.server.web.run", "labthings_fastapi.server.web.protocols"),
    *("labthings_fastapi.server.web.tls", "labthings_fastapi.server.web.tls"),
    *("labthings_fastapi.server.address", "labthings_fastapi.server.web.connection_limits"),
}
SERVERS_ARE_BUILT_OF = {
    *("labthings_fastapi.bindings.http", "labthings_fastapi.bindings.websocket"),
    *("labthings_fastapi.server.routes", "labthings_fastapi.server.access.session_routes"),
    *("labthings_fastapi.server.docs_page", "labthings_fastapi.server.errors"),
    *("labthings_fastapi.server.access.checks", "labthings_fastapi.server.access.middleware"),
    *("labthings_fastapi.server.config_model", "labthings_fastapi.server.config.validation"),
    *(
        "labthings_fastapi.server.config.build_things",
        "labthings_fastapi.journal.sqlite",
        "sqlite3",
    ),
    *(
        "fastapi",
        "starlette",
        "labthings_fastapi.dependencies",
        "labthings_fastapi.server.openapi",
    ),
    *("labthings_fastapi.bindings", "labthings_fastapi.security", "labthings_fastapi.discovery"),
}


def test_it_lists_what_the_documentation_names():
    assert set(lt.__all__) == DOCUMENTED
    assert list(lt.__all__) == sorted(lt.__all__)


@pytest.mark.parametrize("name", sorted(lt.__all__))
def test_every_name_can_be_had_and_is_shown(name):
    assert getattr(lt, name) is not None
    assert name in dir(lt)


def test_a_name_that_is_not_there_is_an_ordinary_error():
    with pytest.raises(AttributeError, match="'Stage'"):
        _ = lt.Stage


def test_modules_are_the_modules_themselves():
    from labthings_fastapi.outputs import blob
    from labthings_fastapi.server import cli

    assert (lt.blob, lt.cli) == (blob, cli)


def run(program: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return finished.stdout


def test_the_errors_load_with_the_package_and_the_heavy_rooms_do_not():
    printed = run(
        "import sys, labthings_fastapi as lt\n"
        "print(lt.exceptions.InvocationCancelledError.__name__)\n"
        "print(sorted({'fastapi', 'uvicorn', 'numpy', 'pydantic'} & set(sys.modules)))\n"
    )
    assert printed.splitlines() == ["InvocationCancelledError", "[]"]


def test_a_thing_can_be_written_without_loading_the_web_framework():
    printed = run(
        "import sys, labthings_fastapi as lt\n"
        "class Stage(lt.Thing):\n"
        "    speed: float = lt.property(default=1)\n"
        "    @lt.action\n"
        "    def move(self, x: float) -> float: return x\n"
        "print(Stage().speed, Stage().move(2), 'fastapi' in sys.modules)\n"
    )
    assert printed == "1.0 2 False\n"


def loaded_by(program: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after a program."""
    return set(run(f"{program}\nimport sys\nprint(*sys.modules)").split())


def test_a_server_can_be_named_without_loading_what_servers_are_built_of():
    loaded = loaded_by(
        "import labthings_fastapi as lt\nlt.Thing, lt.action, lt.property, lt.ThingServer"
    )
    assert "labthings_fastapi.server.server" in loaded
    assert loaded & (SERVERS_ARE_BUILT_OF | ONLY_SERVING_NEEDS) == set()


def test_a_server_is_built_without_loading_what_only_serving_needs(tmp_path: Path):
    loaded = loaded_by(
        f"import labthings_fastapi as lt\nlt.ThingServer({{'settings_folder': {str(tmp_path)!r}}})"
    )
    assert loaded >= SERVERS_ARE_BUILT_OF
    assert loaded & ONLY_SERVING_NEEDS == set()


def test_libraries_of_rare_use_are_loaded_when_they_are_used(tmp_path: Path):
    made = "import labthings_fastapi as lt\nclass Lamp(lt.Thing): ...\nlamp = Lamp()"
    served_code = f"{made}\nlt.ThingServer({{'settings_folder': {str(tmp_path)!r}}})"
    assert loaded_by(served_code).isdisjoint({"jsonschema", "griffe", "filelock"})
    assert "jsonschema" in loaded_by(f"{made}\nlamp.validate_thing_description()")


@pytest.mark.parametrize("name", sorted(ONLY_SERVING_NEEDS))
def test_what_only_serving_needs_is_there(name: str):
    assert find_spec(name) is not None


def test_older_names_lead_to_the_same_things():
    from labthings_fastapi import invocation_contexts, invocations, logs, properties
    from labthings_fastapi.actions.invocation_model import InvocationModel
    from labthings_fastapi.actions.logs import inject_invocation_id

    assert invocation_contexts.cancellable_sleep is lt.cancellable_sleep
    assert invocation_contexts.ThreadWithInvocationID is lt.ThreadWithInvocationID
    assert invocations.InvocationModel is InvocationModel
    assert logs.inject_invocation_id is inject_invocation_id
    assert (properties.property, properties.DataProperty) == (lt.property, lt.DataProperty)


def test_names_of_properties_are_where_older_code_looks() -> None:
    from labthings_fastapi import properties
    from labthings_fastapi.descriptors.info import PropertyInfo
    from labthings_fastapi.exceptions import MissingDefaultError, OverspecifiedDefaultError

    assert properties.PropertyInfo is PropertyInfo
    assert len(properties.CONSTRAINT_ARGS) == 9
    assert {"gt", "ge", "lt", "le", "pattern"} <= properties.CONSTRAINT_ARGS
    made = properties.default_factory_from_arguments(default=[1])
    assert made() == [1]
    assert made() is not made()
    assert properties.default_factory_from_arguments(default_factory=list)() == []
    with pytest.raises(MissingDefaultError):
        properties.default_factory_from_arguments()
    with pytest.raises(OverspecifiedDefaultError):
        properties.default_factory_from_arguments(default=1, default_factory=int)


def test_the_logger_above_those_of_all_things_has_a_name() -> None:
    from labthings_fastapi.logs import THING_LOGGER, get_thing_logger

    assert get_thing_logger() is THING_LOGGER is get_thing_logger("stage").parent
