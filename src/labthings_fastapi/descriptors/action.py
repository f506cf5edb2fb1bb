"""Declare that clients can run a method."""

from __future__ import annotations

import functools
import inspect
import math
from contextlib import nullcontext
from functools import cached_property
from types import MethodType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypeVar,
    overload,
)

from pydantic import create_model
from pydantic.fields import FieldInfo

from labthings_fastapi.actions.invocation_model import InvocationModel
from labthings_fastapi.actions.python_calls import (
    drive,
    locks_held,
    locks_held_async,
    needs_locks,
    own_loop,
)
from labthings_fastapi.actions.turns import run_code
from labthings_fastapi.concurrency.things_loop import on_things_loop
from labthings_fastapi.exceptions import (
    ActionNameError,
    DeclarationTypeError,
    MissingTypeError,
    UnserialisableTypeError,
)
from labthings_fastapi.schemas.docstrings import result_description
from labthings_fastapi.schemas.signature import (
    check_signature,
    input_model,
    resolved_hints,
    return_hints,
)
from labthings_fastapi.schemas.values import ValueSchema
from labthings_fastapi.thing_description.paths import name_of

from .base import BaseDescriptor, function_doc
from .functions import is_surely_json, require_method
from .injection import injected_parameters

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from contextlib import AbstractContextManager

    from pydantic import BaseModel

    from labthings_fastapi.schemas.signature import Returns

OwnerT = TypeVar("OwnerT")
P = ParamSpec("P")
R = TypeVar("R")
Concurrency = Literal["parallel", "queue", "reject", "replace"]
CONCURRENCIES = ("parallel", "queue", "reject", "replace")


async def _next(values: AsyncGenerator[Any, None]) -> Any:
    return await anext(values)


class ActionDescriptor(BaseDescriptor, Generic[OwnerT, P, R]):
    """A method that clients can invoke; on an instance it is the plain bound method.

    Any thread may use it. The models are built on first use, so that a server with hundreds of
    actions starts fast.
    """

    kind = "action"
    declared_by = "`@lt.action`"

    def __init__(
        self,
        func: Callable[Concatenate[OwnerT, P], R],
        response_timeout: float = 1,
        retention_time: float = 300,
        *,
        use_global_lock: bool | None = None,
        synchronous: bool = False,
        concurrency: Concurrency = "parallel",
        group: str | None = None,
        timeout: float | None = None,
        safe: bool = False,
        idempotent: bool = False,
        stop: bool = False,
        on_cancel: str | None = None,
        title: str | None = None,
    ) -> None:
        """Wrap a method; `lt.action` describes the options. Both times are in seconds.

        Raises:
            AffordanceDefinitionError: a parameter has no name, or an option an impossible value.
        """
        super().__init__(title)
        require_method(func, "an action")
        check_signature(func)
        if concurrency not in CONCURRENCIES:
            raise DeclarationTypeError(
                f"{func.__qualname__}: concurrency={concurrency!r} is unknown. "
                f"Use one of {', '.join(CONCURRENCIES)}."
            )
        if group is not None and concurrency == "parallel":
            raise DeclarationTypeError(
                f"{func.__qualname__}: group={group!r} has no effect on an action that runs in "
                "parallel. Set what happens while another invocation of the group is in "
                "progress: concurrency='queue', 'reject' or 'replace'."
            )
        if timeout is not None and not 0 < timeout < math.inf:
            raise DeclarationTypeError(
                f"{func.__qualname__}: timeout={timeout!r} is not valid. Use a positive number of "
                "seconds, or leave it out for no limit."
            )
        self.func = func
        self.timeout = timeout
        self.response_timeout = response_timeout
        self.retention_time = retention_time
        self.use_global_lock = use_global_lock
        self.synchronous = synchronous
        self.concurrency = concurrency
        self.group = group
        self.safe = safe
        self.idempotent = idempotent
        self.stop = stop
        self.on_cancel = on_cancel
        self.__doc__ = func.__doc__
        self.__name__ = func.__name__
        self.__wrapped__ = func
        self._check_return_hint()

    def _check_return_hint(self) -> None:
        """Refuse a return hint without a JSON form at once: the traceback shows the method."""
        try:
            returns = return_hints(self.func)
        except MissingTypeError:
            return  # it names a class that is defined later: a server will look again
        if is_surely_json(returns.output):
            return
        try:
            ValueSchema(returns.output, where=self.where, mode="serialization").compile()
        except UnserialisableTypeError as error:
            error.set_source_function(self.func)
            raise

    @cached_property
    def name(self) -> str:
        """The name in code and in URLs."""
        return self._name or self.func.__name__

    @property
    def where(self) -> str:
        """`Class.method`, for error messages."""
        return super().where if self._owner else self.func.__qualname__

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The method."""
        return (self.func,)

    def check(self, namespace: Mapping[str, Any]) -> None:
        """Refuse options that have an impossible value, and a method of another name.

        With another name, the docstring and the parameters may be those of another function.
        """
        super().check(namespace)
        written = self.func.__name__
        if written != self.name:
            raise ActionNameError(
                f"{self.where}: the method of this action is called {written!r}. Give it the name "
                f"of the attribute, `def {self.name}(self, …)`. If a decorator has replaced the "
                "method, the decorator needs `@functools.wraps(method)`."
            )
        for option in ("response_timeout", "retention_time"):
            value = getattr(self, option)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (is_number and value >= 0):
                raise DeclarationTypeError(
                    f"{self.where}: {option}={value!r} is not valid. Use seconds, 0 or more."
                )
        for option in ("group", "on_cancel"):
            self._check_text(option, getattr(self, option))

    def check_types(self) -> None:
        """Raise an error if input or output have no JSON form, or cannot be described."""
        if self._is_surely_json():
            return
        for schema in (self.input_schema, self.output_schema, self.result_schema):
            if schema is not None:
                schema.compile()
                schema.data_schema()

    def _is_surely_json(self) -> bool:
        hints = resolved_hints(self.func, self.scope)
        parameters = inspect.signature(self.func).parameters.values()
        return (
            all(map(is_surely_json, hints.values()))
            and is_surely_json(self.output_model)
            and not any(isinstance(parameter.default, FieldInfo) for parameter in parameters)
        )

    def doc(self) -> str | None:
        """Return the method's docstring."""
        return function_doc(self.func)

    @overload
    def __get__(self, obj: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, obj: object, owner: type | None = None) -> Callable[P, R]: ...

    def __get__(self, obj: object, owner: type | None = None) -> Self | Callable[P, R]:
        if obj is None:
            return self.seen_from(owner)
        interface = getattr(obj, "__dict__", {}).get("_thing_server_interface")
        locked = interface is not None and interface.global_lock is not None
        locked = locked or needs_locks(self, obj) or (self._is_async and on_things_loop())
        return MethodType(self._locked if locked else self.func, obj)

    def __call__(self, thing: OwnerT, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the method through its class, as in `Base.move(self, 1)` in a subclass."""
        bound: Callable[P, R] = self.__get__(thing)
        return bound(*args, **kwargs)

    @cached_property
    def _is_async(self) -> bool:
        plain = inspect.unwrap(self.func)
        return inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)

    @cached_property
    def _locked(self) -> Callable[..., Any]:
        """The method for calls from Python that must hold locks: see `python_calls`.

        Calling a generator or coroutine function runs no code yet, so only plain functions hold
        the global lock.
        """
        func: Callable[..., Any] = self.func
        plain = inspect.unwrap(func)
        wrapper: Callable[..., Any]
        if inspect.iscoroutinefunction(plain):

            async def wrapper(thing: Any, /, *args: Any, **kwargs: Any) -> Any:
                async with locks_held_async(self, thing):
                    return await own_loop(thing).run(func(thing, *args, **kwargs))
        elif inspect.isgeneratorfunction(plain):

            def wrapper(thing: Any, /, *args: Any, **kwargs: Any) -> Any:
                with locks_held(self, thing):
                    run = functools.partial(run_code, thing)
                    return (yield from drive(run, func(thing, *args, **kwargs)))
        elif inspect.isasyncgenfunction(plain):

            async def wrapper(thing: Any, /, *args: Any, **kwargs: Any) -> Any:
                async with locks_held_async(self, thing):
                    values, loop = func(thing, *args, **kwargs), own_loop(thing)
                    try:
                        while True:
                            try:
                                value = await loop.run(_next(values))
                            except StopAsyncIteration:
                                return
                            yield value
                    finally:
                        await loop.run(values.aclose())
        else:

            def wrapper(thing: Any, /, *args: Any, **kwargs: Any) -> Any:
                with locks_held(self, thing), self.guard(thing):
                    return run_code(thing, functools.partial(func, thing, *args, **kwargs))

        return functools.update_wrapper(wrapper, func)

    def guard(self, thing: Any) -> AbstractContextManager[None]:
        """Hold the server's global lock, if there is one and this action uses it.

        An emergency stop ignores the lock, also where its code sets properties.
        """
        interface = getattr(thing, "_thing_server_interface", None)
        lock = getattr(interface, "global_lock", None)
        if lock is None or (self.use_global_lock is False and not self.stop):
            return nullcontext()
        if self.stop:
            passed: AbstractContextManager[None] = lock.passed()
            return passed
        held: AbstractContextManager[None] = lock.held(
            f"Action {self.name!r} of Thing {name_of(thing)!r}"
        )
        return held

    @cached_property
    def dependency_params(self) -> Mapping[str, inspect.Parameter]:
        """The parameters that FastAPI injects when a client invokes the action over HTTP."""
        return injected_parameters(self.func, resolved_hints(self.func, self.scope))

    @cached_property
    def input_model(self) -> type[BaseModel]:
        """The pydantic model of the input that clients send."""
        name = f"{self.name}_input"
        return input_model(self.func, name=name, skip=self.dependency_params, owner=self.scope)

    @cached_property
    def input_schema(self) -> ValueSchema[BaseModel]:
        """Validates the input, from the bytes of a request."""
        return ValueSchema(self.input_model, where=self.where, mode="validation")

    @property
    def takes_input(self) -> bool:
        """True if clients can send an input."""
        model = self.input_model
        return bool(model.model_fields) or model.model_config.get("extra") == "allow"

    @property
    def requires_input(self) -> bool:
        """True if clients must send an input: a parameter has no default."""
        return any(field.is_required() for field in self.input_model.model_fields.values())

    @cached_property
    def quick_input(self) -> bool:
        """True if validating the input runs no user code, so that an event loop may do it."""
        model = self.input_model
        return all(map(self._is_quick, model.model_fields.values()))

    def _is_quick(self, field: FieldInfo) -> bool:
        # The metadata contain validators as well as constraints.
        hint: Any = field.annotation
        for item in field.metadata:
            hint = Annotated[hint, item]
        return field.default_factory is None and ValueSchema(hint, where=self.where).is_plain

    @cached_property
    def _returns(self) -> Returns:
        return return_hints(self.func, self.scope)

    @property
    def output_model(self) -> Any:
        """The type of the output, from the return hint."""
        return self._returns.output

    @property
    def output_as_model(self) -> type[BaseModel]:
        """A pydantic model of the output: the type itself if it is one, else a `RootModel`."""
        return self.output_schema.model(f"{self.name}_output")

    @property
    def collects_results(self) -> bool:
        """True if the output is the list of the yielded values, False if the returned value."""
        return self._returns.collects or self._returns.yielded is None

    @property
    def output_description(self) -> str | None:
        """What the docstring says of the result, or None."""
        return result_description(self.doc())

    @cached_property
    def output_schema(self) -> ValueSchema[Any]:
        """Validates and serialises the output."""
        return ValueSchema(self.output_model, where=self.where, mode="serialization")

    @cached_property
    def result_schema(self) -> ValueSchema[Any] | None:
        """Validates and serialises each value that a generator yields; None for others."""
        if self._returns.yielded is None:
            return None
        return ValueSchema(self._returns.yielded, where=self.where, mode="serialization")

    @cached_property
    def invocation_model(self) -> type[InvocationModel]:
        """The model of an invocation of this action, with the types of input and output."""
        output = self.output_model
        fields: Any = {
            "input": (self.input_model, ...),
            "output": (Any if output is Any else output | None, ...),
        }
        return create_model(f"{self.name}_invocation", __base__=InvocationModel, **fields)
