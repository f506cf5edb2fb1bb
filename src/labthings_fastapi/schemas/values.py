"""The type of a value: validation, JSON and data schema, compiled once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from types import new_class
from typing import Any, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUserError,
    RootModel,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import (
    CoreConfig,
    CoreSchema,
    SchemaValidator,
    core_schema,
    to_json,
)

from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    BodyTooLargeError,
    InvalidReturnValueError,
    MalformedBodyError,
    UnserialisableTypeError,
    UnserialisableValueError,
    UnsupportedMediaTypeError,
)
from labthings_fastapi.outputs.npy import NPY, NPZ

from .array_files import ArrayFile, array_members, file_parts
from .array_hints import for_pydantic
from .constraints import check_known, constrained
from .core_types import (
    has_arrays,
    has_split_aliases,
    is_array,
    is_immutable,
    is_plain,
    keeps_naive_times,
    patterns,
    reads_builtins,
    runs_validators,
    without_json,
)
from .data_schema import data_schema_of
from .described import described_schema, failing_fast
from .enum_values import with_enum_values
from .invalid_values import not_json
from .json_schema import COMPONENTS, Mode, json_schema
from .json_text import LARGE, MANY_ERRORS, check_budget, defect, has_unusual_number
from .patterns import portable
from .reasons import reason
from .wire_values import plain_value, to_wire_json
from .writers import Dumper, Writer, writers

T = TypeVar("T")
Reader = Callable[[bytes], Any]


_CONFIG = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
_BY_NAME: Any = {"by_alias": False, "by_name": True}


@dataclass(frozen=True, slots=True)
class _Compiled(Generic[T]):
    adapter: TypeAdapter[T]
    validate: Callable[[Any], T]
    write: Writer
    dump: Dumper
    is_plain: bool
    immutable: bool
    by_alias: bool
    runs_validators: bool
    has_arrays: bool
    is_array: bool


class ValueSchema(Generic[T]):
    """The type of a property, an input, an output or an event's data.

    The type is compiled at first use, because a type hint may name a class that is defined later.
    Safe from any thread: two threads that compile at once build equal objects.

    What clients send is accepted exactly if `data_schema` accepts it, and what they are sent fits
    it (JSON Schema: a boolean is no number, "3" is no number, 1.0 is an integer). Python code may
    set what pydantic converts.

    NaN and the infinities are written as the strings "NaN", "Infinity" and "-Infinity", also in
    users' models, and are read back as floats. Bytes are written in base64 (URL-safe alphabet,
    RFC 4648, section 5), and are read in either alphabet. A datetime is written with an offset; one
    without a time zone is taken to be of the zone of this machine. Models are written by alias; a
    property that can be written, and whose type reads and writes different aliases, by name.
    """

    def __init__(
        self,
        hint: Any,
        constraints: Mapping[str, Any] | None = None,
        *,
        where: str,
        mode: Mode = "both",
        keeps_values: bool = False,
    ) -> None:
        """Describe values of type `hint`; errors name `where`, for example `Stage.speed`.

        With `keeps_values`, what is served has been validated before, when it was set: a validator
        that converts units must not do so twice.
        """
        self.hint = hint
        self.constraints = dict(constraints or {})
        self.where = where
        self.mode = mode
        self._keeps_values = keeps_values
        self._data_schemas: dict[Mode, dict[str, Any]] = {}
        self._model: type[BaseModel] | None = None
        check_known(self.constraints, where)

    @cached_property
    def compiled(self) -> _Compiled[T]:
        """The validator and the serialiser, built on first use.

        Raises:
            UnserialisableTypeError: naming `where`.
            UnsupportedConstraintError: naming `where`.
        """
        hint = constrained(self.hint, self.constraints, self.where)
        try:
            return _compile(hint, self.mode)
        except Exception as error:  # a type may bring schema code of its own
            raise self._no_json_form(error) from error

    def _no_json_form(self, error: Exception) -> UnserialisableTypeError:
        return UnserialisableTypeError(
            f"{self.where}: the type {self.hint!r} has no JSON form ({reason(error)})."
            " Use builtin types, a pydantic model or a dataclass."
        )

    def compile(self) -> None:
        """Find a wrong type hint or constraint now; idempotent.

        Raises:
            UnserialisableTypeError, UnsupportedConstraintError: naming `where`.
        """
        self.compiled  # noqa: B018 - built by this

    def model(self, name: str) -> type[BaseModel]:
        """Return a pydantic model of the value: the type itself if it is one, else a `RootModel`.

        Raises:
            UnserialisableTypeError, UnsupportedConstraintError: naming `where`.
        """
        if self._model is None:
            self.compile()
            hint: Any = constrained(self.hint, self.constraints, self.where)
            is_model = isinstance(hint, type) and issubclass(hint, BaseModel)
            self._model = hint if is_model else new_class(name, (RootModel[hint],))
        return self._model

    @property
    def adapter(self) -> TypeAdapter[T]:
        """The compiled type."""
        return self.compiled.adapter

    @property
    def is_plain(self) -> bool:
        """Whether only builtin types take part: no user code runs, so an event loop may use it."""
        return self.compiled.is_plain

    @property
    def has_arrays(self) -> bool:
        """Whether there are numpy arrays in the values."""
        return self.compiled.has_arrays

    @property
    def is_array(self) -> bool:
        """Whether a value is one numpy array, or None where the type allows it."""
        return self.compiled.is_array

    @property
    def file_types(self) -> tuple[str, ...]:
        """The media types, besides JSON, in which arrays in a value are sent, the best first."""
        if not self.has_arrays:
            return ()
        if self.is_array:
            return (NPY, NPZ)
        # The only array of an action's input needs no name.
        alone = self.mode == "validation" and len(array_members(self.data_schema())) == 1
        return (NPY, NPZ) if alone else (NPZ,)

    @property
    def immutable(self) -> bool:
        """Whether the type is plain and a value cannot change in place: no copy is needed."""
        return self.compiled.immutable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hint!r}, where={self.where!r})"

    def validate(self, value: Any) -> T:
        """Return a value of Python code, converted to the type where that is possible.

        Raises:
            pydantic.ValidationError: the value does not fit the type.
        """
        try:
            return self.compiled.validate(value)
        except ValidationError:
            # Arrays as lists would be taken with another dtype than they have.
            plain = value if self.compiled.has_arrays else plain_value(value)
            if plain is value:
                raise
            return self.compiled.validate(plain)

    def validate_json(self, data: bytes) -> T:
        """Parse and validate JSON that we or a person wrote, such as a file of settings.

        Raises:
            pydantic.ValidationError: its only error has the type `json_invalid` if the bytes are
                not JSON.
        """
        return self.compiled.adapter.validate_json(data)

    def validate_wire(self, data: bytes | ArrayFile) -> T:
        """Parse and validate JSON of a client, or arrays: exactly what the data schema accepts.

        Raises:
            MalformedBodyError: it is no file of arrays, or it is not clear which its array is.
            UnsupportedMediaTypeError: there are no arrays in the values.
            pydantic.ValidationError: as of `validate_json`.
            BodyTooLargeError: it has more items or members than are parsed at once.
        """
        if isinstance(data, ArrayFile):
            return self._validate_arrays(data)
        if len(data) > MANY_ERRORS:
            return self._validate_large(data)
        # As of `_validate_large`, written again because it is done for each small request.
        if has_unusual_number(data):
            self._refuse_defect(data)
        try:
            value: T = self._read(data)
        except ValidationError as error:
            self._refuse_defect(data)
            self._explain(data, error)
            raise
        names = data.count(b":")
        # In most inputs of actions each colon belongs to one parameter, so none is there twice.
        if names > 1 and not (self.mode == "validation" and names == _number_of_members(value)):
            self._refuse_defect(data)
        return value

    def _validate_large(self, data: bytes) -> T:
        if len(data) > LARGE:
            check_budget(data, self.where)
        if has_unusual_number(data):
            self._refuse_defect(data)
        try:
            value: T = self._read_large(data)
        except ValidationError:
            self._refuse_defect(data)
            raise
        self._refuse_defect(data)
        return value

    def _validate_arrays(self, file: ArrayFile) -> T:
        if not self.compiled.has_arrays:
            raise UnsupportedMediaTypeError(
                f"{self.where}: the Content-Type is {file.media_type!r}, and there is no array in "
                "it: send JSON, with the header `Content-Type: application/json`."
            )
        try:
            value = file.value(self.where, self.data_schema())
        except BodyTooLargeError:
            raise
        except ValueError as error:
            raise MalformedBodyError(f"{self.where}: {error}.") from error
        read = self._read_python
        if read is not None:
            return read(value)
        # A type with a way of its own to read JSON.
        found: T = self._read_large(to_wire_json(value))
        return found

    @cached_property
    def _read_python(self) -> Callable[[Any], T] | None:
        """Validate parsed JSON with arrays in it; None: the type reads JSON in its own way."""
        schema = self.adapter.core_schema
        if not reads_builtins(schema):
            return None
        described = failing_fast(described_schema(self.data_schema(), decode=True))
        validate = SchemaValidator(core_schema.chain_schema([described, schema])).validate_python
        return validate if self.compiled.by_alias else partial(validate, **_BY_NAME)

    def _refuse_defect(self, data: bytes) -> None:
        wrong = defect(data)
        if wrong is not None:
            raise not_json(self.where, wrong)

    @cached_property
    def _read(self) -> Reader:
        """Parse and validate JSON by the data schema, then convert it to the type."""
        return self._reader(lambda described: described)

    @cached_property
    def _read_large(self) -> Reader:
        """Do as `_read`, and stop at the first error of an array or dictionary."""
        return self._reader(failing_fast)

    def _reader(self, prepared: Callable[[CoreSchema], CoreSchema]) -> Reader:
        schema, adapter = self.adapter.core_schema, self.adapter
        by_alias = self.compiled.by_alias
        try:
            described = prepared(described_schema(self.data_schema(), decode=True))
            if reads_builtins(schema):
                chain = core_schema.chain_schema([described, schema])
                validate_json = SchemaValidator(chain).validate_json
                return validate_json if by_alias else partial(validate_json, **_BY_NAME)
            described = prepared(described_schema(self.data_schema()))
            check = SchemaValidator(described).validate_json
        except AffordanceDefinitionError:
            raise
        except Exception as error:
            raise self._no_json_form(error) from error

        def read(data: bytes) -> Any:
            names: Any = {} if by_alias else _BY_NAME
            return adapter.validate_json(to_json(check(data), inf_nan_mode="constants"), **names)

        return read

    def _explain(self, data: bytes, error: ValidationError) -> None:
        """Raise the error of the type itself where there is one: it often says more."""
        if self.compiled.has_arrays:
            return  # the type itself, which may be a model of users, need not read lists
        if error.errors(include_url=False, include_context=False)[0]["type"] != "json_invalid":
            names: Any = {} if self.compiled.by_alias else _BY_NAME
            self.compiled.adapter.validate_json(data, **names)

    def to_json(self, value: T, context: Any = None) -> bytes:
        """Return the value as compact JSON; `context` is passed to the serialisers of its types.

        Raises:
            UnserialisableValueError: the value has no JSON form, or a serialiser failed.
            InvalidReturnValueError: a part of the value does not have its type.
        """
        compiled = self.compiled
        try:
            text = compiled.write(value, context=context)
        except Exception as error:  # serialisers may be user code
            raise UnserialisableValueError(self.where, type(value), reason(error)) from error
        if not compiled.is_plain and not compiled.is_array:
            self._check_written(text, value)
        return text

    def serve(self, value: Any, context: Any = None) -> bytes:
        """Return a value of a Thing's code, which may have any type, as JSON that is described.

        Raises:
            pydantic.ValidationError: the value does not fit the type.
            UnserialisableValueError, InvalidReturnValueError: as of `to_json`.
        """
        compiled = self.compiled
        if not compiled.is_plain:
            if self._keeps_values and compiled.runs_validators:
                with suppress(UnserialisableValueError, InvalidReturnValueError):
                    return self.to_json(value, context)
            return self.to_json(self.validate(value), context)
        try:
            return compiled.write(compiled.validate(value), context=context)
        except ValidationError:
            return compiled.write(self.validate(value), context=context)

    def as_file(self, value: T, media_type: str, context: Any = None) -> list[Any] | None:
        """Return the parts of a `.npy` or `.npz` file with a value that has been validated.

        The data of its arrays are not copied. None: there is no such file of this value.

        Raises:
            UnserialisableValueError: the value has no JSON form, or a serialiser failed.
        """
        try:
            dumped = self.compiled.dump(value, context=context)
            naive = keeps_naive_times(self.adapter.core_schema)
            return file_parts(dumped, media_type, keep_naive=naive)
        except Exception as error:  # serialisers may be user code
            raise UnserialisableValueError(self.where, type(value), reason(error)) from error

    def _check_written(self, text: bytes, value: Any) -> None:
        # pydantic does not look into dataclasses and models, which may have changed.
        check = self._check
        if check is None:
            return
        try:
            check(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise InvalidReturnValueError(
                f"{self.where}: a value of type {type(value).__name__!r} does not fit the type"
                f"{' at ' + place if place else ''}: {first['msg']}; it is {first['input']!r:.80}"
            ) from error

    @cached_property
    def _check(self) -> Reader | None:
        schema = self.data_schema()
        if not schema.keys() & {"type", "const", "enum", "oneOf"}:
            return None
        try:
            return SchemaValidator(described_schema(schema)).validate_json
        except Exception as error:
            raise self._no_json_form(error) from error

    def json_schema(
        self,
        mode: Literal["validation", "serialization"] = "validation",
        ref_template: str = COMPONENTS,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the JSON Schema for OpenAPI, and its definitions by name."""
        by_alias = self.compiled.by_alias
        schema = json_schema(self.adapter, mode, ref_template, by_alias=by_alias)
        definitions: dict[str, Any] = schema.pop("$defs", {})
        return schema, definitions

    def data_schema(self, mode: Mode | None = None) -> dict[str, Any]:
        """Return a new copy of the W3C data schema, by default for the values' own direction."""
        mode = mode or self.mode
        schemas = self._data_schemas
        if mode not in schemas:
            by_alias = self.compiled.by_alias
            schemas[mode] = data_schema_of(self.adapter, self.hint, mode, by_alias=by_alias)
        return copy.deepcopy(schemas[mode])


def _number_of_members(value: Any) -> int:
    return len(value.model_fields_set) if isinstance(value, BaseModel) else -1


def _compile(hint: Any, mode: Mode) -> _Compiled[Any]:
    adapter = _adapter(hint)
    schema = adapter.core_schema
    if (unfit := without_json(schema)) is not None:
        raise TypeError(f"{unfit} cannot be sent")
    for pattern in patterns(schema):
        portable(pattern)  # refuses one that clients would read differently
    # A property that can be written needs one name for a member: that of the field.
    by_alias = mode != "both" or not has_split_aliases(schema)
    return _Compiled(
        adapter,
        adapter.validate_python,
        *writers(schema, by_alias),
        is_plain(schema),
        is_immutable(schema),
        by_alias,
        runs_validators(schema),
        has_arrays(schema),
        is_array(schema),
    )


def _adapter(hint: Any) -> TypeAdapter[Any]:
    adapter = _adapter_of_pydantic(hint)
    schema = with_enum_values(adapter.core_schema)
    if schema is not adapter.core_schema:
        adapter.core_schema = schema
        adapter.validator = SchemaValidator(schema, CoreConfig(val_json_bytes="base64"))
    return adapter


def _adapter_of_pydantic(hint: Any) -> TypeAdapter[Any]:
    hint = for_pydantic(hint, _CONFIG)
    try:
        return TypeAdapter(hint, config=_CONFIG)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(hint)  # models and dataclasses have a config of their own
