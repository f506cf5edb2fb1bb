"""Have another Thing injected as a client would see it, but called directly."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request

from labthings_fastapi.actions.protocols import BelongsToInvocation
from labthings_fastapi.exceptions import AffordanceNotFoundError, ThingNotFoundError

from .server import find_thing_server

if TYPE_CHECKING:
    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.descriptors.property import BaseProperty
    from labthings_fastapi.thing import Thing

_REQUEST = "labthings_request"


class DirectThingClient:
    """Calls a Thing of the same server without HTTP; its actions run in the caller's run.

    Made by FastAPI for each request; the actions' own dependencies were injected with it.
    """

    _path: str

    def __init__(self, thing: Thing, dependencies: dict[str, Any]) -> None:
        """Speak for `thing`."""
        self._wrapped_thing = thing
        self._dependencies = dependencies

    def enter_invocation(self, invocation: Any) -> None:
        """Tell what was injected for the actions, such as loggers, to which run it belongs."""
        for value in self._dependencies.values():
            if isinstance(value, BelongsToInvocation):
                value.enter_invocation(invocation)


def direct_thing_client_class(
    thing_class: type[Thing], thing_path: str, actions: Sequence[str] | None = None
) -> type[DirectThingClient]:
    """Return a class with the properties of a Thing's class and the actions named, or all.

    Raises:
        AffordanceNotFoundError: the Thing has no such action.
    """
    for name in actions or ():
        if name not in thing_class.actions:
            raise AffordanceNotFoundError(
                thing_class.__name__, "action", name, list(thing_class.actions)
            )
    wanted = {
        name: action
        for name, action in thing_class.actions.items()
        if actions is None or name in actions
    }
    members: dict[str, Any] = {"__doc__": thing_class.__doc__, "_path": thing_path}
    members |= {name: _method(action) for name, action in wanted.items()}
    members |= {name: _attribute(found) for name, found in thing_class.properties.items()}
    cls = type(f"{thing_class.__name__}DirectClient", (DirectThingClient,), members)
    # Two actions may give the same name to different dependencies.
    injected = [
        parameter.replace(name=_injected_name(action.name, name))
        for action in wanted.values()
        for name, parameter in action.dependency_params.items()
    ]
    _make_injectable(cls, thing_class, thing_path, injected)
    return cls


def _injected_name(action: str, parameter: str) -> str:
    return f"{action}__{parameter}"


def _make_injectable(
    cls: type[DirectThingClient],
    thing_class: type[Thing],
    path: str,
    injected: Sequence[inspect.Parameter],
) -> None:
    """Give the class a signature from which FastAPI learns what to inject."""

    def initialise(self: DirectThingClient, **values: Any) -> None:
        request: Request = values.pop(_REQUEST)
        DirectThingClient.__init__(self, _thing_at(request, path, thing_class), values)

    keyword = inspect.Parameter.KEYWORD_ONLY
    initialise.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            inspect.Parameter(_REQUEST, keyword, annotation=Request),
            *(parameter.replace(kind=keyword) for parameter in injected),
        ]
    )
    cls.__init__ = initialise  # type: ignore[assignment]


def _thing_at(request: Request, path: str, thing_class: type[Thing]) -> Thing:
    things = find_thing_server(request).things
    wanted = path.strip("/")
    for name, thing in things.items():
        if wanted in (name, thing.path.strip("/")):
            if isinstance(thing, thing_class):
                return thing
            raise ThingNotFoundError(
                f"The Thing at {path!r} is a {type(thing).__name__}, but a {thing_class.__name__} "
                "is needed there."
            )
    known = ", ".join(thing.path for thing in things.values()) or "none"
    raise ThingNotFoundError(f"There is no Thing at {path!r}; there are: {known}.")


def _method(action: ActionDescriptor[Any, Any, Any]) -> Any:
    names = tuple(action.dependency_params)
    signature = inspect.signature(action.func)
    open_to_callers = signature.replace(
        parameters=[
            parameter for name, parameter in signature.parameters.items() if name not in names
        ]
    )

    def call(self: DirectThingClient, *args: Any, **kwargs: Any) -> Any:
        injected = {name: self._dependencies[_injected_name(action.name, name)] for name in names}
        injected |= {name: kwargs.pop(name) for name in names if name in kwargs}
        # Injected parameters may stand between the others.
        given = _by_name(open_to_callers.bind(self, *args, **kwargs))
        return getattr(self._wrapped_thing, action.name)(**given, **injected)

    call.__name__ = action.name
    call.__doc__ = action.description
    call.__signature__ = open_to_callers  # type: ignore[attr-defined]
    return call


def _by_name(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Return all arguments but `self`; actions have no positional-only ones and no `*args`."""
    _, *others = bound.signature.parameters.values()
    given = {p.name: bound.arguments[p.name] for p in others if p.name in bound.arguments}
    for parameter in others:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            given |= given.pop(parameter.name, {})
    return given


def _attribute(descriptor: BaseProperty[Any]) -> property:
    def read(self: DirectThingClient) -> Any:
        return getattr(self._wrapped_thing, descriptor.name)

    def write(self: DirectThingClient, value: Any) -> None:
        if descriptor.readonly:
            raise descriptor.read_only_error(self._wrapped_thing)
        setattr(self._wrapped_thing, descriptor.name, value)

    return property(read, write, doc=descriptor.description)


def direct_thing_client_dependency(
    thing_class: type[Thing], thing_path: str, actions: Sequence[str] | None = None
) -> type[Any]:
    """Return an annotation with which FastAPI injects a direct client of the Thing at a path."""
    cls = direct_thing_client_class(thing_class, thing_path, actions)
    annotated: Any = Annotated[cls, Depends(cls)]
    found: type[Any] = annotated
    return found
