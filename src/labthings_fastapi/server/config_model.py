"""What a server is told before it is built."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from labthings_fastapi.exceptions import ServerConfigurationError
from labthings_fastapi.thing_description.paths import RESERVED_THINGS, THING_NAME

from .import_strings import import_thing_class
from .journal_config import JournalChoice, JournalConfig
from .mdns import can_announce
from .security_config import AllowedHost, AllowedOrigin, SecurityChoice, SecurityConfig


def _slot_choice(value: Any) -> Any:
    """Refuse what is no choice, with one message instead of one for each branch of a union."""
    names = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("it must be the name of a Thing, a list of names, or null")
    return list(value) if isinstance(value, tuple) else value


SlotChoice = Annotated[str | list[str] | None, BeforeValidator(_slot_choice)]


def _thing_name(name: str) -> str:
    if not THING_NAME.fullmatch(name):
        raise ValueError("the name does not fit in a URL: use letters, digits, '_' and '-'")
    if name in RESERVED_THINGS:
        raise ValueError("the name is used by the server itself: choose another")
    return name


class ThingConfig(BaseModel):
    """One Thing: its class, and what the class is given."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    cls: Annotated[type | str, BeforeValidator(import_thing_class)] = Field(
        description="The class, or `package.module:Class`."
    )
    args: list[Any] = Field(default_factory=list, description="Positional arguments.")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="Keyword arguments.")
    thing_slots: dict[str, SlotChoice] = Field(
        default_factory=dict, description="Slot name → name of the Thing, or names, or null."
    )

    @property
    def place_of_arguments(self) -> str:
        """Where in the file one looks when the arguments do not fit: args or kwargs."""
        return "kwargs" if self.kwargs or not self.args else "args"


def _as_thing(value: Any) -> Any:
    """Take a bare class or import string for a Thing without arguments."""
    return value if isinstance(value, (Mapping, ThingConfig)) else {"cls": value}


def _log_level(value: Any) -> Any:
    """Take a level by its name too."""
    levels = logging.getLevelNamesMapping()
    if isinstance(value, str) and not value.isdigit():
        if value.upper() not in levels:
            raise ValueError(f"{value!r} is no level; levels are {', '.join(levels)}")
        return levels[value.upper()]
    return value


_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class ThingServerConfig(BaseModel):
    """The configuration of a server; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    things: dict[
        Annotated[str, AfterValidator(_thing_name)],
        Annotated[ThingConfig, BeforeValidator(_as_thing)],
    ] = Field(default_factory=dict, description="Name → Thing; names are used in URLs.")
    settings_folder: Path = Field(
        default=Path("./settings"), description="Where settings are kept."
    )
    api_prefix: str = Field(default="", description="Comes before every path, as `/api`.")
    enable_global_lock: bool = Field(
        default=False, description="Let one task at a time run actions and set properties."
    )
    global_lock_log_level: Annotated[int, BeforeValidator(_log_level)] = Field(
        default=logging.WARNING,
        description="Level, of `logging`, of the record that says that a run was refused.",
    )
    application_config: dict[str, Any] | None = Field(
        default=None, description="Whatever the laboratory's own code wants to know."
    )
    shutdown_timeout: float = Field(
        default=5.0, ge=0, description="Seconds that runs get to stop when the server stops."
    )
    max_retained_runs: int = Field(
        default=10_000, ge=1, description="How many finished runs are kept at most."
    )
    max_concurrent_runs: int = Field(
        default=100, ge=1, description="How many runs may be in progress at once."
    )
    max_queued_runs: int = Field(
        default=1000, ge=0, description="How many more may wait; beyond, clients are told to."
    )
    journal: JournalChoice = Field(
        default_factory=JournalConfig, description="'sqlite', 'memory', or its options."
    )
    max_reads_per_thing: int = Field(
        default=8, ge=1, description="How many reads of one Thing may run its code at once."
    )
    security: SecurityChoice = Field(
        default_factory=SecurityConfig,
        description="'auto', 'required' or 'off', or the options of authentication.",
    )
    allowed_hosts: list[AllowedHost] = Field(
        default_factory=list,
        description="Names of this computer, beside its own, that clients may call it by.",
    )
    cors_origins: list[AllowedOrigin] = Field(
        default_factory=list,
        description="Origins of web pages, beside the server's own, that may use it.",
    )
    max_body_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1, description="The largest body of a request, in bytes."
    )
    max_upload_bytes: int = Field(
        default=1024 * 1024 * 1024,
        ge=1,
        description="The largest form with files, which goes to the disk as it comes, in bytes.",
    )
    discovery: bool | None = Field(
        default=None,
        description="Announce the Things by mDNS: always, never, or (null) if the server is bound "
        "to more than loopback and the extra 'discovery' is installed.",
    )
    max_connections: int = Field(
        default=2000, ge=1, description="How many clients' connections may be open at once."
    )
    capture_loggers: list[str] = Field(
        default_factory=list,
        description="Names of loggers, of driver libraries say, whose records belong to runs too.",
    )

    @field_validator("discovery")
    @classmethod
    def _can_be_announced(cls, choice: bool | None) -> bool | None:
        if choice and not can_announce():
            raise ValueError(
                "to announce the Things by mDNS, the library zeroconf must be installed: "
                "`pip install 'labthings-fastapi[discovery]'`"
            )
        return choice

    @field_validator("api_prefix")
    @classmethod
    def _prefix_is_a_path(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(
                f"{prefix!r} must begin with a slash and not end with one, as '/api' or '/lab/api'"
            )
        return prefix


def schema_mistakes(error: ValidationError) -> list[str]:
    """Return every mistake that pydantic found, each with its place, as `api_prefix: …`."""
    return [f"{_place(item['loc'])}: {_reason(item)}" for item in error.errors(include_url=False)]


def mistakes(found: Iterable[str]) -> ServerConfigurationError:
    """Return the error that lists what is wrong with a configuration."""
    # One paragraph, also where a message (of a syntax error, say) has several lines.
    listed = [" ".join(text.split()).rstrip(".") for text in found]
    count = "a mistake" if len(listed) == 1 else f"{len(listed)} mistakes"
    return ServerConfigurationError(f"The configuration has {count}: {'; '.join(listed)}.")


def _place(location: tuple[int | str, ...]) -> str:
    """Spell a path in the file; pydantic marks a mistake in a key by one part more."""
    parts = [str(part) for part in location]
    if parts[-1:] == ["[key]"]:
        parts.pop()
    return ".".join(parts) or "the whole file"


def _reason(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "there is no such option"
    reason = str(item["msg"])
    if item["type"] == "value_error":  # our own words, which may begin with a value
        return reason.removeprefix("Value error, ")
    return f"{reason[:1].lower()}{reason[1:]}"
