"""A dependency that gives another Thing with the members that a client has, without HTTP."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request

from labthings_fastapi.actions.protocols import BelongsToInvocation
from labthings_fastapi.exceptions import AffordanceNotFoundError, ThingNotFoundError
from labthings_fastapi.thing_description.paths import path_of

from .server import find_thing_server

if TYPE_CHECKING:
    from labthings_fastapi.descriptors.action import ActionDescriptor
    from labthings_fastapi.descriptors.property import BaseProperty
    from labthings_fastapi.thing import Thing

_REQUEST = "labthings_request"


class DirectThingClient:
    """Calls a Thing of the same server; its actions run in the invocation of the caller.

    FastAPI makes one for each request, with the dependencies of the Thing's actions.
    """

    _path: str

    def __init__(self, thing: Thing, dependencies: dict[str, Any]) -> None:
        """Wrap a Thing; `dependencies` are arguments of its actions."""
        self._wrapped_thing = thing
        self._dependencies = dependencies

    def enter_invocation(self, invocation: Any) -> None:
        """Pass the invocation on to the dependencies that need it, such as loggers."""
        for value in self._dependencies.values():
            if isinstance(value, BelongsToInvocation):
                value.enter_invocation(invocation)


def direct_thing_client_class(
    thing_class: type[Thing], thing_path: str, actions: Sequence[str] | None = None
) -> type[DirectThingClient]:
    """Return a class with the properties and actions of a class of Thing.

    Args:
        thing_class: the class of the Thing.
        thing_path: the path or the name of the Thing on the server.
        actions: the names of the actions to include; None: all.

    Raises:
        AffordanceNotFoundError: the class has no action of one of these names.
    """
    for name in actions or ():
        if name not in thing_class.actions:
            raise AffordanceNotFoundError(
                thing_class.__name__, "action", name, list(thing_class.actions)
            )
    included = {
        name: action.descriptor
        for name, action in thing_class.actions.items()
        if actions is None or name in actions
    }
    members: dict[str, Any] = {"__doc__": thing_class.__doc__, "_path": thing_path}
    members |= {name: _method(action) for name, action in included.items()}
    members |= {name: _attribute(each.descriptor) for name, each in thing_class.properties.items()}
    cls = type(f"{thing_class.__name__}DirectClient", (DirectThingClient,), members)
    # Two actions may use the same name for different dependencies.
    injected = [
        parameter.replace(name=_injected_name(action.name, name))
        for action in included.values()
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
    """Give the class an `__init__` whose signature lists the dependencies for FastAPI."""

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
    name_or_path = path.strip("/")
    for name, thing in things.items():
        if name_or_path in (name, path_of(thing).strip("/")):
            if isinstance(thing, thing_class):
                return thing
            raise ThingNotFoundError(
                f"The Thing at {path!r} is a {type(thing).__name__}, but a {thing_class.__name__} "
                "is needed there."
            )
    known = ", ".join(path_of(thing) for thing in things.values()) or "none"
    raise ThingNotFoundError(f"There is no Thing at {path!r}; there are: {known}.")


def _method(action: ActionDescriptor[Any, Any, Any]) -> Any:
    names = tuple(action.dependency_params)
    signature = inspect.signature(action.func)
    caller_signature = signature.replace(
        parameters=[
            parameter for name, parameter in signature.parameters.items() if name not in names
        ]
    )

    def call(self: DirectThingClient, *args: Any, **kwargs: Any) -> Any:
        injected = {name: self._dependencies[_injected_name(action.name, name)] for name in names}
        injected |= {name: kwargs.pop(name) for name in names if name in kwargs}
        # By name, because injected parameters may stand between the others.
        arguments = _by_name(caller_signature.bind(self, *args, **kwargs))
        return getattr(self._wrapped_thing, action.name)(**arguments, **injected)

    call.__name__ = action.name
    call.__doc__ = action.description
    call.__signature__ = caller_signature  # type: ignore[attr-defined]
    return call


def _by_name(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Return all arguments except `self`; actions have no positional-only ones and no `*args`."""
    _, *others = bound.signature.parameters.values()
    arguments = {p.name: bound.arguments[p.name] for p in others if p.name in bound.arguments}
    for parameter in others:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= arguments.pop(parameter.name, {})
    return arguments


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
    """Return an annotation with which FastAPI injects a `DirectThingClient`.

    The arguments are those of `direct_thing_client_class`.
    """
    cls = direct_thing_client_class(thing_class, thing_path, actions)
    annotated: Any = Annotated[cls, Depends(cls)]
    dependency: type[Any] = annotated
    return dependency
