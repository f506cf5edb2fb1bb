"""A plain FastAPI route under a Thing's path."""

from __future__ import annotations

import pytest

import labthings_fastapi as lt
from labthings_fastapi.descriptors.endpoint import EndpointDescriptor
from labthings_fastapi.exceptions import AffordanceDefinitionError


class Camera(lt.Thing):
    @lt.endpoint("get")
    def picture(self, n: int = 1) -> int:
        """Take a picture.

        Or several.
        """
        return n

    @lt.endpoint("put", "/deep/{item}")
    def store(self) -> None: ...


def test_it_keeps_what_fastapi_needs():
    assert isinstance(Camera.picture, EndpointDescriptor)
    assert (Camera.picture.http_method, Camera.picture.path) == ("get", "picture")
    assert (Camera.store.http_method, Camera.store.path) == ("put", "deep/{item}")
    assert (Camera.picture.title, Camera.picture.__doc__) == (
        "Take a picture.",
        Camera.picture.func.__doc__,
    )


def test_in_python_it_is_a_method():
    camera = Camera()
    assert (camera.picture(3), Camera.picture(camera, n=4)) == (3, 4)


def test_an_unknown_method_is_refused():
    with pytest.raises(AffordanceDefinitionError, match=r"'fetch'.*get, post, put, delete"):
        EndpointDescriptor(lambda self: None, "fetch")


def declare(*paths: tuple[str, str | None]):
    class Wrong(lt.Thing):
        speed: float = lt.property(default=1)
        hot: None = lt.event()
        other: Camera | None = lt.thing_slot()

        @lt.action
        def move(self) -> None: ...

        for number, (method, path) in enumerate(paths):
            locals()[f"route{number}"] = lt.endpoint(method, path)(lambda self: None)

    return Wrong


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("speed", "belongs to property 'speed'"),
        ("/speed/", "belongs to property 'speed'"),
        ("speed/reset", "resets property 'speed'"),
        ("move", "belongs to action 'move'"),
        ("move/again", "belongs to action 'move'"),
        ("move/{id}", "belongs to action 'move'"),
        ("hot", "belongs to event 'hot'"),
        ("gap", "is used by the server"),
        ("", "is used by the server"),
        ("/", "is used by the server"),
    ],
)
def test_a_path_that_something_else_answers_is_refused(path, reason):
    with pytest.raises(AffordanceDefinitionError, match=rf"Wrong\.route0: its path .*{reason}"):
        declare(("get", path))


def test_two_endpoints_share_a_path_only_with_different_methods():
    with pytest.raises(AffordanceDefinitionError, match=r"Wrong\.route1.*endpoint 'route0'"):
        declare(("get", "picture"), ("get", "/picture"))
    assert len(declare(("get", "picture"), ("put", "picture"))._affordances) == 6


@pytest.mark.parametrize("path", ["other", "speed/more", "hot/history", "moves", "{anything}"])
def test_other_paths_are_free(path):
    assert declare(("get", path)).route0.path == path


def test_a_subclass_that_takes_the_path_of_an_inherited_endpoint_is_refused():
    with pytest.raises(AffordanceDefinitionError, match=r"Camera\.store.*action 'deep'"):

        class Wrong(Camera):
            @lt.action
            def deep(self) -> None: ...
