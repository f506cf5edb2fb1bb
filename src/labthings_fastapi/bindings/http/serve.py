"""Put a Thing's affordances into the table and, where needed, on the FastAPI app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labthings_fastapi.thing import endpoints_of

from .action_resources import ActionResource, ActionRunResource, ActionsResource
from .injected import add_action_route, add_endpoint_route
from .property_resources import PropertiesResource, PropertyResource
from .thing_resource import ThingResource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI

    from labthings_fastapi.actions.manager import ActionManager
    from labthings_fastapi.bindings.binding import Binding
    from labthings_fastapi.portal.workers import Lane
    from labthings_fastapi.thing import Thing

    from .dispatch import Table


def expose(
    thing: Thing,
    *,
    app: FastAPI,
    table: Table,
    manager: ActionManager,
    lane: Lane,
    bindings: Sequence[Binding],
    prefix: str = "",
) -> None:
    """Serve a Thing at its path, from now on; also while the server runs."""
    fixed: dict[str, Any] = {thing.path: ThingResource(thing, bindings)}
    members: dict[str, Any] = {}
    properties = {
        name: PropertyResource(thing, info.descriptor, lane, manager.blobs)
        for name, info in thing.properties.items()
    }
    for name, resource in properties.items():
        fixed[f"{thing.path}{name}"] = resource
    fixed[f"{thing.path}properties"] = PropertiesResource(thing, properties)
    for name, action in thing.actions.items():
        served = ActionResource(thing, action, lane, manager, prefix)
        fixed[f"{thing.path}{name}"] = served
        members[f"{thing.path}{name}"] = ActionRunResource(served, manager, prefix)
        if served.injected:
            add_action_route(app, thing, action, manager, prefix)
    fixed[f"{thing.path}actions"] = ActionsResource(thing, manager, prefix)
    for endpoint in endpoints_of(type(thing)).values():
        add_endpoint_route(app, thing, endpoint)
    table.add(thing.name, thing.path, fixed, members)
