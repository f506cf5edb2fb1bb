"""`app.routes` of a server: one entry for each path, also where no route dispatches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute, Route

from labthings_fastapi.thing_description.paths import affordance_path, name_of, path_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import ASGIApp

    from labthings_fastapi.thing import Thing


def listed_routes(
    app: ASGIApp,
    routes: Iterable[BaseRoute],
    included: Iterable[tuple[str, Any]],
    things: Iterable[Thing],
) -> Iterator[BaseRoute]:
    """Yield the routes of an app, of the routers that it includes, and of its Things.

    `included` are prefixes and routers. The entries that stand for others lead to the app itself,
    which dispatches by path.
    """
    for route in routes:
        if hasattr(route, "path"):
            yield route
    for prefix, router in included:
        for route in router.routes:
            yield Route(prefix + route.path, app, methods=_methods(route), name=route.name)
    for thing in things:
        yield from _routes_of(app, thing)


def _methods(route: Any) -> list[str] | None:
    methods = getattr(route, "methods", None)
    return None if methods is None else sorted(methods)


def _routes_of(app: ASGIApp, thing: Thing) -> Iterator[Route]:
    thing_name, path = name_of(thing), path_of(thing)
    yield Route(path, app, methods=["GET"], name=thing_name)
    affordances: list[tuple[str, list[str]]] = [
        *((name, ["GET"] if each.readonly else ["GET", "PUT"])
          for name, each in thing.property_descriptors.items()),
        *((name, ["GET", "POST"]) for name in thing.action_descriptors),
        *((name, ["GET"]) for name in thing.event_descriptors),
    ]  # fmt: skip
    for name, methods in affordances:
        yield Route(affordance_path(path, name), app, methods=methods, name=f"{thing_name}.{name}")
