"""From a path to its resource."""

from __future__ import annotations

from labthings_fastapi.bindings.http.router import Router


class Named:
    fallthrough_methods = frozenset()

    def __init__(self, label):
        self.label = label
        self.handlers = {}


def router_of(*paths):
    router = Router()
    for path in paths:
        resources = {path: Named(path), f"{path}speed": Named(f"{path}speed")}
        router.add_thing(
            path.strip("/"), path, resources, {f"{path}move": Named(f"an invocation below {path}")}
        )
    return router


def test_a_resource_is_found_by_its_whole_path():
    router = router_of("/stage/", "/a/b/")
    assert router.find("/stage/").label == "/stage/"
    assert router.find("/a/b/speed").label == "/a/b/speed"


def test_an_invocation_is_found_below_its_action():
    router = router_of("/stage/")
    assert router.find("/stage/move/123").label == "an invocation below /stage/"


def test_other_paths_have_no_resource():
    router = router_of("/stage/")
    for path in ("", "/", "/stage", "/stage/sped", "/stage/move/1/2", "stage/", "//stage/"):
        assert router.find(path) is None


def test_the_message_for_an_unknown_path_lists_the_names_near_it():
    router = router_of("/stage/", "/a/b/")
    assert (
        router.not_found_detail("/stage/sped")
        == "Thing 'stage' has nothing at 'sped'. It has: speed."
    )
    assert router.not_found_detail("/nowhere") == (
        "There is nothing at '/nowhere'. Things are served at: /a/b/, /stage/."
    )
    assert "no path yet" in Router().not_found_detail("/")
