"""Things over HTTP: the binding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labthings_fastapi.actions.invocation_model import ACTION_INVOCATIONS_PATH
from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor
from labthings_fastapi.thing import endpoints_of
from labthings_fastapi.thing_description.http_forms import HttpForms

from .action_resources import ActionResource, ActionsResource
from .application import ThingsApplication
from .descriptions import Descriptions
from .directory import Directory
from .event_resources import EventResource, ServerEventsResource
from .injected import add_action_route, add_endpoint_route
from .invocation_resources import ActionInvocationResource, InvocationResource
from .property_resources import PropertiesResource, PropertyResource, ResetResource
from .router import Router
from .thing_resource import ThingResource

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from labthings_fastapi.bindings.interaction.things import Interactions, ThingInteraction
    from labthings_fastapi.thing import Thing


class HttpBinding(HttpForms):
    """Serves Things in front of a FastAPI app: by name from a table, or as real routes.

    Things are added from any thread; requests are answered on the server's event loop.
    """

    def __init__(
        self,
        app: FastAPI,
        interactions: Interactions,
        *,
        prefix: str = "",
    ) -> None:
        """Stand in front of `app`; `interactions` say how Things are used."""
        manager, workers = interactions.manager, interactions.workers
        self.table = Router()
        self.descriptions = Descriptions(workers, [self])
        executor = BoundedExecutor(workers, "the directory", limit=2)
        self.directory = Directory(manager.broker, self.descriptions, executor, prefix)
        self.directory.attach(self.table)
        self._app = app
        self._manager = manager
        self._interactions = interactions
        self._prefix = prefix
        self.table.add_resource(f"{prefix}/events", ServerEventsResource(manager.broker))
        self.table.add_resource(
            f"{prefix}{ACTION_INVOCATIONS_PATH}", InvocationResource(manager, prefix), members=True
        )
        app.add_middleware(ThingsApplication, table=self.table)

    def in_front_of(self, app: ASGIApp) -> ASGIApp:
        """Return an app that serves the Things, and passes everything else on to `app`."""
        return ThingsApplication(app, self.table)

    def expose(self, thing: Thing) -> None:
        """Serve a Thing at its path, from now on; also while the server runs."""
        used = self._interactions.of(thing)
        fixed: dict[str, Any] = {thing.path: ThingResource(thing, self.descriptions)}
        members: dict[str, Any] = {}
        self._add_properties(used, fixed)
        self._add_actions(used, fixed, members)
        for name, event in thing.event_descriptors.items():
            fixed[f"{thing.path}{name}"] = EventResource(thing, event, self._manager.broker)
        fixed[f"{thing.path}events"] = EventResource(thing, None, self._manager.broker)
        for endpoint in endpoints_of(type(thing)).values():
            add_endpoint_route(self._app, thing, endpoint, used.executor)
        self.table.add(thing.name, thing.path, fixed, members)
        self.directory.add(thing)

    def _add_properties(self, used: ThingInteraction, fixed: dict[str, Any]) -> None:
        thing = used.thing
        for name, found in used.each_property.items():
            fixed[f"{thing.path}{name}"] = PropertyResource(thing, found)
            if found.descriptor.is_resettable:
                fixed[f"{thing.path}{name}/reset"] = ResetResource(found)
        fixed[f"{thing.path}properties"] = PropertiesResource(thing, used.properties)

    def _add_actions(
        self, used: ThingInteraction, fixed: dict[str, Any], members: dict[str, Any]
    ) -> None:
        thing, manager, prefix = used.thing, self._manager, self._prefix
        for name, action in used.actions.items():
            resource = ActionResource(action, manager, prefix)
            fixed[f"{thing.path}{name}"] = resource
            members[f"{thing.path}{name}"] = ActionInvocationResource(
                resource.what, manager, prefix
            )
            if resource.injected:
                add_action_route(self._app, thing, resource)
        fixed[f"{thing.path}actions"] = ActionsResource(thing, manager, prefix)
