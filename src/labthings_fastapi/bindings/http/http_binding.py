"""Things over HTTP: the binding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
from labthings_fastapi.outputs.frame_stream import stream_descriptors
from labthings_fastapi.thing import endpoints_of
from labthings_fastapi.thing_description.http_forms import HttpForms
from labthings_fastapi.thing_description.paths import name_of, path_of

from .action_resources import ActionResource, ActionsResource
from .application import ThingsApplication
from .descriptions import Descriptions
from .directory import Directory
from .event_resources import EventResource, ServerEventsResource
from .frame_resources import frame_resources
from .injected import add_action_route, add_endpoint_route
from .invocation_resources import ActionInvocationResource
from .property_resources import PropertiesResource, PropertyResource, ResetResource
from .router import Router
from .thing_resource import REOPEN, ReopenResource, ThingResource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI

    from labthings_fastapi.bindings.interaction.things import Interactions, ThingInteraction
    from labthings_fastapi.thing import Thing


class HttpBinding(HttpForms):
    """Serves Things in a FastAPI app: by path from a `Router`, or as routes of the app.

    Any thread may add a Thing; requests are answered on the server's event loop.
    """

    def __init__(
        self,
        app: FastAPI,
        interactions: Interactions,
        *,
        prefix: str = "",
        reopen: Callable[[Thing], Awaitable[None]] | None = None,
    ) -> None:
        """Add the dispatcher to `app`: inside of all middleware that is added later.

        `reopen` opens a Thing again; without it, clients cannot ask for that.
        """
        manager, workers = interactions.manager, interactions.workers
        self.router = Router()
        self.descriptions = Descriptions(workers, [self], prefix)
        executor = BoundedExecutor(workers, "the directory", limit=2)
        self.directory = Directory(manager.broker, self.descriptions, executor, prefix)
        self.directory.attach(self.router)
        self._app = app
        self._manager = manager
        self._interactions = interactions
        self._prefix = prefix
        self._reopen = reopen
        self.router.add_resource(f"{prefix}/events", ServerEventsResource(manager.broker))
        app.add_middleware(ThingsApplication, router=self.router, prefix=prefix)

    def expose(self, thing: Thing) -> None:
        """Serve a Thing at its path, from now on; also while the server runs."""
        interaction = self._interactions.of(thing)
        resources: dict[str, Any] = {path_of(thing): ThingResource(thing, self.descriptions)}
        collections: dict[str, Any] = {}
        self._add_properties(interaction, resources)
        self._add_actions(interaction, resources, collections)
        for name, event in thing.event_descriptors.items():
            resources[f"{path_of(thing)}{name}"] = EventResource(thing, event, self._manager.broker)
        self._add_common(interaction, resources)
        for name in stream_descriptors(type(thing)):
            resources |= frame_resources(thing, name, f"{path_of(thing)}{name}")
        self._add_reopening(thing, resources)
        for endpoint in endpoints_of(type(thing)).values():
            add_endpoint_route(self._app, thing, endpoint, interaction.executor)
        self.router.add_thing(name_of(thing), path_of(thing), resources, collections)
        self.directory.add(thing)

    def _add_common(self, interaction: ThingInteraction, resources: dict[str, Any]) -> None:
        """Add what every Thing has, except where it uses the path itself."""
        thing, manager = interaction.thing, self._manager
        common: dict[str, Any] = {
            "properties": PropertiesResource(thing, interaction.properties),
            "actions": ActionsResource(thing, manager, self._prefix),
            "events": EventResource(thing, None, manager.broker),
        }
        for name in sorted(thing.hidden_resources):
            common.pop(name, None)
            thing_log(name_of(thing)).warning(
                "It uses the path %s%s itself, so the server's resource of that name is missing.",
                *(path_of(thing), name),
            )
        resources |= {f"{path_of(thing)}{name}": each for name, each in common.items()}

    def _add_reopening(self, thing: Thing, resources: dict[str, Any]) -> None:
        if self._reopen is None:
            return
        path = f"{path_of(thing)}{REOPEN}"
        taken = {endpoint.path.strip("/") for endpoint in endpoints_of(type(thing)).values()}
        if path in resources or REOPEN in taken:
            thing_log(name_of(thing)).warning(
                "It has a %r of its own at %s, so clients cannot have it opened again there. "
                "`server.reopen(%r)` does it.",
                *(REOPEN, path, name_of(thing)),
            )
        else:
            resources[path] = ReopenResource(thing, self._reopen)

    def _add_properties(self, interaction: ThingInteraction, resources: dict[str, Any]) -> None:
        thing = interaction.thing
        for name, each in interaction.each_property.items():
            resources[f"{path_of(thing)}{name}"] = PropertyResource(thing, each)
            if each.descriptor.is_resettable:
                resources[f"{path_of(thing)}{name}/reset"] = ResetResource(each)

    def _add_actions(
        self,
        interaction: ThingInteraction,
        resources: dict[str, Any],
        collections: dict[str, Any],
    ) -> None:
        thing, manager, prefix = interaction.thing, self._manager, self._prefix
        for name, action in interaction.actions.items():
            resource = ActionResource(action, manager, prefix)
            resources[f"{path_of(thing)}{name}"] = resource
            collections[f"{path_of(thing)}{name}"] = ActionInvocationResource(
                resource.label, manager, prefix
            )
            if resource.injected:
                add_action_route(self._app, thing, resource)
