"""The configuration of a server, as a pydantic model."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from labthings_fastapi.exceptions import ServerConfigurationError, describe_exception
from labthings_fastapi.journal.retention import KEEP_TRAIL_DAYS
from labthings_fastapi.journal.sqlite import KEEP_BYTES, KEEP_DAYS
from labthings_fastapi.security.hosts import split_host
from labthings_fastapi.security.origins import checked_origin
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.paths import RESERVED_THINGS, THING_NAME

from .mdns import can_announce


class ThingImportFailure(ValueError, ImportError):  # noqa: N818 - the name of older releases
    """A class cannot be imported; the message says why, in the words of Python's own error."""


class NotAThingError(ValueError, TypeError):
    """What is to be served is no class of Thing."""


def import_thing_class(source: Any) -> type[Thing]:
    """Return the class itself, or the one that an import string names."""
    cls: Any = _imported(source) if isinstance(source, str) else source
    if not isinstance(cls, type) or not issubclass(cls, Thing):
        raise NotAThingError(f"{source!r} is not a Thing: it is no subclass of lt.Thing")
    return cls


def _imported(source: str) -> Any:
    # pydantic's ImportString and pkgutil.resolve_name hide the error of a module that imports a
    # missing library, and report that the module itself is missing.
    separator = ":" if ":" in source else "."
    module_name, _, class_name = source.strip().rpartition(separator)
    if not module_name or not class_name:
        raise ThingImportFailure(f"{source!r} must look like 'package.module:Class'")
    try:
        value: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise ThingImportFailure(
            f"{module_name!r} cannot be imported: {describe_exception(error)}"
        ) from error
    for attribute in class_name.split("."):
        value = getattr(value, attribute, None)
    if value is None:
        raise ThingImportFailure(f"cannot import name {class_name!r} from {module_name!r}")
    return value


def _check_slot_choice(value: Any) -> Any:
    # Before pydantic's own check, which reports one error for each member of the union.
    names = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("it must be the name of a Thing, a list of names, or null")
    return list(value) if isinstance(value, tuple) else value


SlotChoice = Annotated[str | list[str] | None, BeforeValidator(_check_slot_choice)]


def _short_for(key: str) -> BeforeValidator:
    """Accept, instead of a section, the value of one key alone."""
    return BeforeValidator(
        lambda value: value if isinstance(value, (Mapping, BaseModel)) else {key: value}
    )


AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
"""Made absolute when the configuration is made, because drivers change the working directory."""

OPTIONS = ConfigDict(extra="forbid", use_attribute_docstrings=True)
OPEN = ConfigDict(extra="allow", use_attribute_docstrings=True)
"""Of a section that may have keys of others: they are kept, and `unknown_keys` tells of them."""


def _dotted(cls: Any) -> Any:
    return f"{cls.__module__}.{cls.__qualname__}" if isinstance(cls, type) else cls


class ThingConfig(BaseModel):
    """One Thing: its class and the arguments of the class."""

    model_config = ConfigDict(**OPEN, arbitrary_types_allowed=True)

    cls: Annotated[
        type | str,
        BeforeValidator(import_thing_class),
        PlainSerializer(_dotted, when_used="json"),
    ]
    """The class, or an import string: `package.module:Class` or `package.module.Class`. The key
    may also be `class`."""
    args: list[Any] = []
    """Positional arguments."""
    kwargs: dict[str, Any] = {}
    """Keyword arguments."""
    thing_slots: dict[str, SlotChoice] = {}
    """Slot name → name of the Thing, or a list of names, or null."""
    exclusive: bool | None = None
    """Run the code of the Thing one call at a time. null: as the class says."""
    thread: Literal["own"] | None = None
    """'own': run all code of the Thing in one thread of its own. null: as the class says."""
    reopen: Literal["manual", "auto"] | None = None
    """'auto': start also without the Thing; open it again when it failed. null: as its class."""

    @model_validator(mode="before")
    @classmethod
    def _spelling(cls, entry: Any) -> Any:
        if isinstance(entry, Mapping) and "class" in entry and "cls" not in entry:
            return {("cls" if key == "class" else key): value for key, value in entry.items()}
        return entry

    @property
    def arguments_key(self) -> str:
        """The key, `args` or `kwargs`, at which an error in the arguments is reported."""
        return "kwargs" if self.kwargs or not self.args else "args"


def _thing_name(name: str) -> str:
    if not THING_NAME.fullmatch(name):
        raise ValueError("the name does not fit in a URL: use letters, digits, '_' and '-'")
    if name in RESERVED_THINGS:
        raise ValueError("the name is used by the server itself: choose another")
    return name


class JournalConfig(BaseModel):
    """Where invocations are recorded, and for how long."""

    model_config = OPTIONS

    kind: Literal["sqlite", "memory"] = "sqlite"
    """`memory`: all records are lost when the server stops."""
    path: AbsolutePath | None = None
    """The file; by default `journal.sqlite` in the settings folder. Files, blobs and large outputs
    of invocations are in a folder beside it, `journal.outputs`, as long as their records."""
    keep_days: float = Field(KEEP_DAYS, gt=0)
    """Days to keep an invocation with input, output and log after its end."""
    keep_bytes: int = Field(KEEP_BYTES, ge=1)
    """Largest size of the journal, in bytes; the oldest invocations give up their details first."""
    keep_trail_days: float = Field(KEEP_TRAIL_DAYS, gt=0)
    """Days to keep who did what, when, and how it ended."""
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    """SQLite's setting. FULL: what was acknowledged also survives a power cut."""


class SecurityConfig(BaseModel):
    """Who must authenticate, and where the credentials are."""

    model_config = OPTIONS

    authentication: Literal["auto", "required", "off"] = "auto"
    """Whether clients must authenticate. 'auto': if there are credentials."""
    credentials: AbsolutePath | None = None
    """The file of credentials; by default `credentials.json` in the settings folder."""
    insecure: bool = False
    """Allow everybody on the network to use the server without authentication."""


def _host_name(text: str) -> str:
    parts = split_host(text)
    if parts is None or parts[1] is not None:
        raise ValueError(
            f"{text!r} is no host name: write it without scheme, port and path, as "
            "'microscope.lab.example'; wildcards are not accepted"
        )
    if "*" in text:
        raise ValueError(f"{text!r} has a wildcard: list the names one by one")
    return parts[0]


def _log_level(value: Any) -> Any:
    levels = logging.getLevelNamesMapping()
    if isinstance(value, str) and not value.isdigit():
        if value.upper() not in levels:
            raise ValueError(f"{value!r} is no log level: use one of {', '.join(levels)}")
        return levels[value.upper()]
    return value


def _prefix(prefix: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", prefix):
        raise ValueError(
            f"{prefix!r} must begin with a slash and not end with one, as '/api' or '/lab/api'"
        )
    return prefix


def _support(contact: str | None) -> str | None:
    if contact is None or re.fullmatch(r"(https?://|mailto:|tel:)[^\s<>]+", contact):
        return contact
    if re.fullmatch(r"[^\s@<>:/]+@[^\s@<>:/]+", contact):
        return f"mailto:{contact}"
    raise ValueError(
        f"{contact!r} is neither an e-mail address nor a URL: write it as 'anna@lab.example' or "
        "'https://lab.example/help'"
    )


def _possible(discovery: bool | None) -> bool | None:
    if discovery and not can_announce():
        raise ValueError(
            "to announce the Things by mDNS, the library zeroconf must be installed. Install the "
            "extra 'discovery' (in the checkout: pip install '.[discovery]')"
        )
    return discovery


def _settings_folder(folder: Any) -> Any:
    # The default is a Path, which pydantic does not take while it validates JSON.
    return "./settings" if folder is None else str(folder) if isinstance(folder, Path) else folder


class ThingServerConfig(BaseModel):
    """The configuration of a server; an unknown key is told when a server is made of it."""

    model_config = ConfigDict(**OPEN, validate_default=True)

    things: dict[
        Annotated[str, AfterValidator(_thing_name)],
        Annotated[ThingConfig, _short_for("cls")],
    ] = {}
    """Name → Thing; the names are part of URLs."""
    settings_folder: Annotated[AbsolutePath, BeforeValidator(_settings_folder)] = Path("./settings")
    """The folder in which settings are saved. In a configuration file, this and other relative
    paths are relative to the folder of that file; in Python, to the working directory."""
    api_prefix: Annotated[str, AfterValidator(_prefix)] = ""
    """The beginning of every path, for example `/api`."""
    enable_global_lock: bool = False
    """Let only one task at a time run actions and set properties."""
    global_lock_log_level: Annotated[int, BeforeValidator(_log_level)] = logging.WARNING
    """Level, of `logging`, of the record when the global lock refuses something."""
    application_config: dict[str, Any] | None = None
    """Free for the laboratory's own code."""
    shutdown_timeout: float = Field(5.0, ge=0)
    """Seconds that invocations have for stopping when the server stops."""
    max_retained_runs: int = Field(10_000, ge=1)
    """Largest number of finished invocations in memory."""
    max_retained_bytes: int = Field(256 * 1024 * 1024, ge=0)
    """Largest number of bytes, about, that finished invocations keep in memory: inputs, outputs,
    results and logs. Those that go are answered from the journal."""
    max_concurrent_runs: int = Field(100, ge=1)
    """Largest number of invocations that run at once."""
    max_queued_runs: int = Field(1000, ge=0)
    """Largest number of invocations that wait; further ones are answered 503."""
    journal: Annotated[JournalConfig, _short_for("kind")] = JournalConfig()
    """'sqlite', 'memory', or an object of options."""
    max_reads_per_thing: int | None = Field(None, ge=1)
    """Largest number of reads that run one Thing's code at once; null: one of each property."""
    security: Annotated[SecurityConfig, _short_for("authentication")] = SecurityConfig()
    """'auto', 'required' or 'off', or an object of options."""
    allowed_hosts: list[Annotated[str, AfterValidator(_host_name)]] = []
    """Further host names that clients may use for this computer."""
    cors_origins: list[Annotated[str, AfterValidator(checked_origin)]] = []
    """Origins of web pages, besides the server's own, that may use the server; `*`: of all."""
    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1)
    """Largest body of a request, in bytes."""
    max_upload_bytes: int = Field(32 * 1024**3, ge=1)
    """Largest upload (`POST /blob`) or form with files, in bytes; it is written to the disk as it
    arrives."""
    max_output_bytes: int = Field(64 * 1024**3, ge=1)
    """Largest number of bytes that blobs, uploads and files of runs take on the disk together;
    those of the oldest runs that are not pinned go first, and their records say so."""
    discovery: Annotated[bool | None, AfterValidator(_possible)] = None
    """Announce the Things by mDNS: always, never, or (null) if the server is bound to more than
    loopback and the extra 'discovery' is installed."""
    support: Annotated[str | None, AfterValidator(_support)] = None
    """Who looks after the instruments: an e-mail address or a URL, for the Thing Descriptions."""
    language: str = Field("en", pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")
    """The language in which the Things are described, as in `de` or `en-GB` (BCP 47)."""
    ui: bool = True
    """Show browsers the web page at `/` and `/ui/`."""
    max_connections: int = Field(2000, ge=1)
    """Largest number of open client connections."""
    capture_loggers: list[str] = []
    """Names of further loggers, for example of driver libraries, whose records belong to the log
    of an invocation."""

    @property
    def thing_configs(self) -> Mapping[str, ThingConfig]:
        """Name → Thing, whatever way the entries were written."""
        return self.things


def schema_errors(error: ValidationError) -> list[str]:
    """Return every error that pydantic found, with its path, as `api_prefix: …`."""
    return [f"{_path(item['loc'])}: {_reason(item)}" for item in error.errors(include_url=False)]


def configuration_error(errors: Iterable[str]) -> ServerConfigurationError:
    """Return the exception that lists all errors of a configuration."""
    # One paragraph, although the message of a syntax error, for example, has several lines.
    listed = [" ".join(text.split()).rstrip(".") for text in errors]
    count = "an error" if len(listed) == 1 else f"{len(listed)} errors"
    return ServerConfigurationError(f"The configuration has {count}: {'; '.join(listed)}.")


def _path(location: tuple[int | str, ...]) -> str:
    parts = [str(part) for part in location]
    if parts[-1:] == ["[key]"]:  # pydantic's mark of an error in a key
        parts.pop()
    return ".".join(parts) or "the whole file"


def _reason(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "there is no such option"
    reason = str(item["msg"])
    if item["type"] == "value_error":  # a message of this package, which may begin with a value
        return reason.removeprefix("Value error, ")
    return f"{reason[:1].lower()}{reason[1:]}"
