"""The input model and the output type of a method, read from its signature."""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Annotated, Any, ClassVar, NamedTuple, Self, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from labthings_fastapi.exceptions import (
    DeclarationTypeError,
    MissingTypeError,
    UnserialisableTypeError,
)

from .array_hints import for_pydantic, names_arrays
from .docstrings import parameter_descriptions
from .enum_values import reading_json_values
from .reasons import reason
from .wire_values import plain_value

Function = Callable[..., Any]

# A type checker does not accept `list[x]` where x is a value.
_LIST: Any = list

# A plain function with one of these return hints is treated as a generator.
_GENERATORS = (Iterator, Generator, AsyncIterator, AsyncGenerator)
_ITERATIONS = (Iterator, Iterable, Generator, AsyncIterator, AsyncIterable, AsyncGenerator)


class Returns(NamedTuple):
    """The return type of a method.

    `yielded` is the type of yielded values, or None if the method is no generator. If `collects` is
    true, the output is the list of these values.
    """

    output: Any
    yielded: Any | None
    collects: bool


class InputModel(BaseModel):
    """The base of all input models: the members of the JSON object are the parameters."""

    model_config = ConfigDict(
        extra="forbid",
        protected_namespaces=(),
        serialize_by_alias=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )

    parameter_names: ClassVar[Mapping[str, str]] = {}
    """Name of the field → name of the parameter; some names are no field names (`json`, `_x`)."""


class _OpenInputModel(InputModel):
    """The input of a method with `**kwargs`, which receives all further members."""

    model_config = ConfigDict(extra="allow")

    names_not_for_clients: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _refuse_injected_parameters(self) -> Self:
        for name in type(self).names_not_for_clients.intersection(self.model_extra or ()):
            raise PydanticCustomError(
                "extra_forbidden",
                "'{name}' cannot be sent by clients",
                {"name": name},
            )
        return self


def check_signature(func: Function) -> None:
    """Refuse a signature that cannot be called with the members of a JSON object.

    Type hints are not read, so this can run while the class is being made.

    Raises:
        AffordanceDefinitionError: naming the method and the parameter.
    """
    parameters = list(_parameters(func).values())
    if not parameters or parameters[0].kind in (
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    ):
        raise DeclarationTypeError(
            f"{_name(func)}: the first parameter must be `self`. Add it to the method."
        )
    for position, parameter in enumerate(parameters):
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise DeclarationTypeError(
                f"{_name(func)}: '*{parameter.name}' cannot be called over the network, where"
                " arguments have names. Give each argument a name, or take one list."
            )
        if position and parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise DeclarationTypeError(
                f"{_name(func)}: parameter {parameter.name!r} is positional-only, but over the"
                " network arguments have names. Move the '/' to directly after `self`."
            )


def resolved_hints(func: Function, owner: Any = None) -> dict[str, Any]:
    """Return the type hints; names are looked up in the module, then in `vars(owner)`.

    `owner` is usually the class of the method.

    Raises:
        MissingTypeError: a type hint cannot be resolved.
    """
    # Only names that the module lacks: an action called `list` must not hide the builtin.
    borrowed: dict[str, Any] = {}
    while True:
        try:
            return get_type_hints(func, localns=borrowed or None, include_extras=True)
        except NameError as error:
            known = vars(owner) if owner is not None else {}
            name = error.name or ""
            if name in borrowed or name not in known:
                raise _unresolved(func, error) from error
            borrowed[name] = known[name]
        except (AttributeError, SyntaxError, TypeError) as error:
            raise _unresolved(func, error) from error


def input_model(
    func: Function, *, name: str, skip: Collection[str] = (), owner: Any = None
) -> type[InputModel]:
    """Return the model of the parameters after `self`, without those in `skip`.

    Raises:
        AffordanceDefinitionError: the method cannot be called over the network.
    """
    check_signature(func)
    hints = resolved_hints(func, owner)
    first, *others = _parameters(func).values()
    described = parameter_descriptions(func.__doc__)
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    base: type[InputModel] = InputModel
    for parameter in others:
        hint = hints.get(parameter.name, Any)
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            # Hints of `**kwargs` are wrong in most code that exists, so nothing is checked by them.
            base = _OpenInputModel
        elif parameter.name not in skip:
            field = _field_name(parameter.name, names)
            names[field] = parameter.name
            fields[field] = _field(parameter, hint, field, described.get(parameter.name))
    model = _create(func, name, base, fields, hints)
    model.parameter_names = names
    if issubclass(model, _OpenInputModel):
        model.names_not_for_clients = frozenset((first.name, *skip))
    return model


def arguments(model: BaseModel) -> dict[str, Any]:
    """Return the keyword arguments of a validated input, as Python values."""
    names: Mapping[str, str] = getattr(type(model), "parameter_names", {})
    found = {names.get(field, field): getattr(model, field) for field in type(model).model_fields}
    return found | (model.model_extra or {})


def return_hints(func: Function, owner: Any = None) -> Returns:
    """Return the types of the return hint; without a hint, the method may return anything.

    Raises:
        AffordanceDefinitionError: a generator has a return hint that is no generator.
    """
    hint = resolved_hints(func, owner).get("return", Any)
    if not _is_generator(func) and (get_origin(hint) or hint) not in _GENERATORS:
        return Returns(hint, None, False)
    if hint is Any:
        return Returns(list[Any], Any, True)
    origin = get_origin(hint) or hint
    if origin not in _ITERATIONS:
        raise DeclarationTypeError(
            f"{_name(func)}: it yields values, but its return hint is {hint!r}."
            " Use `Iterator[X]`, or `Generator[X, None, R]` if it also returns an R."
        )
    yielded, *rest = get_args(hint) or (Any,)
    returned = rest[1] if origin is Generator and len(rest) == 2 else None
    if returned in (None, type(None), Any):
        return Returns(_LIST[yielded], yielded, True)
    return Returns(returned, yielded, False)


def _parameters(func: Function) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(func).parameters
    except (TypeError, ValueError) as error:
        raise DeclarationTypeError(
            f"{_name(func)}: its signature cannot be read ({error}). Wrap it in a plain method."
        ) from error


def _name(func: Function) -> str:
    return getattr(func, "__qualname__", None) or repr(func)


def _unresolved(func: Function, error: Exception) -> MissingTypeError:
    missing = getattr(error, "name", None)
    cause = f"the type hint {missing!r} cannot be found" if missing else f"{error}"
    return MissingTypeError(
        f"{_name(func)}: could not resolve forward reference: {cause}. Define or import it at"
        " the top of the module, and not under `if TYPE_CHECKING`."
    )


def _is_generator(func: Function) -> bool:
    inner = inspect.unwrap(func)
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)


def _field_name(parameter: str, taken: Collection[str]) -> str:
    name = parameter
    if parameter.startswith("_") or hasattr(_OpenInputModel, parameter):
        name = f"field_{parameter.lstrip('_')}"
    while name in taken:
        name += "_"
    return name


def _field(parameter: inspect.Parameter, hint: Any, field: str, described: str | None) -> Any:
    default = ... if parameter.default is inspect.Parameter.empty else parameter.default
    if not names_arrays(hint):
        default = plain_value(default)
    infos = [item for item in get_args(hint)[1:] if isinstance(item, FieldInfo)]
    if isinstance(default, FieldInfo):
        infos.append(default)
    extra: dict[str, Any] = {}
    if described and not any(info.description for info in infos):
        extra["description"] = described
    if field != parameter.name and not any(info.alias for info in infos):
        extra["alias"] = parameter.name
        extra["title"] = parameter.name.replace("_", " ").strip().title()
    hint = reading_json_values(for_pydantic(hint, InputModel.model_config))
    return (Annotated[hint, Field(**extra)] if extra else hint, default)


def _create(
    func: Function,
    name: str,
    base: type[InputModel],
    fields: Mapping[str, Any],
    hints: Mapping[str, Any],
) -> type[InputModel]:
    try:
        return create_model(name, __base__=base, __module__=func.__module__, **fields)
    except Exception as error:  # a type may bring schema code of its own
        raise UnserialisableTypeError(
            f"{_name(func)}: {_invalid_part(hints)} cannot be read from JSON ({reason(error)})."
            " Use a builtin type, a pydantic model or a dataclass."
        ) from error


def _invalid_part(hints: Mapping[str, Any]) -> str:
    """Return the parameter with an invalid type, which pydantic's error does not always name."""
    for name, hint in hints.items():
        try:
            TypeAdapter(hint)
        except Exception:  # noqa: BLE001 - any failure is the answer
            if name != "return":
                return f"parameter {name!r} of type {hint!r}"
    return "its input"
