"""What can be asked of a server."""

from __future__ import annotations

from pathlib import Path

import pytest

import labthings_fastapi as lt
from labthings_fastapi.exceptions import ThingStartError


class Lamp(lt.Thing):
    level: int = lt.setting(default=1)


class Broken(lt.Thing):
    works = False

    def __enter__(self) -> Broken:
        if not self.works:
            raise OSError("no such port")
        return self

    def __exit__(self, *_: object) -> None: ...


def serve(folder: Path, **things: type[lt.Thing]) -> lt.ThingServer:
    return lt.ThingServer({"things": things, "settings_folder": folder})


@pytest.mark.parametrize("name", ["debug", "things", "api_prefix"])
def test_what_a_server_is_cannot_be_assigned(tmp_path: Path, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(serve(tmp_path, lamp=Lamp), name, None)


def test_folders_are_texts_and_exist(tmp_path: Path) -> None:
    server = serve(tmp_path, lamp=Lamp)
    interface = server.things["lamp"]._thing_server_interface
    assert server.settings_folder == str(tmp_path)
    assert (tmp_path / "lamp").is_dir()
    assert interface.settings_folder == str(tmp_path / "lamp")
    assert interface.settings_file_path == str(tmp_path / "lamp" / "Settings-Lamp.json")


@pytest.mark.parametrize("things", [{}, {"one": Lamp, "two": Lamp}])
def test_where_there_must_be_one_thing_none_and_two_are_an_error(
    tmp_path: Path, things: dict[str, type[lt.Thing]]
) -> None:
    server = serve(tmp_path, **things)
    with pytest.raises(RuntimeError, match="exactly one Lamp"):
        server.thing_by_class(Lamp)


def test_a_failed_start_is_kept_until_the_next(tmp_path: Path) -> None:
    server = serve(tmp_path, lamp=Lamp, broken=Broken)
    assert server.startup_failure is None
    with pytest.raises(ThingStartError), server.test_client():
        pass
    failure = server.startup_failure
    assert failure is not None
    assert failure["thing"] == "broken"
    assert str(failure["exception"]) == "no such port"
    server.thing_by_class(Broken).works = True
    with server.test_client():
        assert server.startup_failure is None


def test_the_portal_runs_code_in_the_loop_of_the_server(tmp_path: Path) -> None:
    server = serve(tmp_path, lamp=Lamp)

    async def add(one: int, two: int) -> int:
        return one + two

    assert server.blocking_portal is None
    with server.test_client():
        portal = server.blocking_portal
        assert portal is not None
        assert portal.call(add, 1, 2) == 3
        assert portal.start_task_soon(add, 3, 4).result(30) == 7
    assert server.blocking_portal is None


def test_a_task_that_never_ends_does_not_keep_the_server(tmp_path: Path) -> None:
    server = serve(tmp_path, lamp=Lamp)

    async def forever() -> None:
        import anyio

        await anyio.sleep_forever()

    with server.test_client():
        portal = server.blocking_portal
        assert portal is not None
        future = portal.start_task_soon(forever)
    assert future.done()
