"""How a server is told whom to let in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from labthings_fastapi.security.hosts import split_host
from labthings_fastapi.security.origins import checked_origin


class SecurityConfig(BaseModel):
    """Who has to show a token or a password, and where those are kept."""

    model_config = ConfigDict(extra="forbid")

    authentication: Literal["auto", "required", "off"] = Field(
        default="auto",
        description="Whether clients must show who they are; 'auto': if there are credentials.",
    )
    credentials: Path | None = Field(
        default=None, description="The file of credentials; by default in the settings folder."
    )
    insecure: bool = Field(
        default=False, description="Let everybody on the network in, without authentication."
    )


def _short_form(value: Any) -> Any:
    """Take a bare word for the authentication."""
    return {"authentication": value} if isinstance(value, str) else value


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


SecurityChoice = Annotated[SecurityConfig, BeforeValidator(_short_form)]
AllowedHost = Annotated[str, AfterValidator(_host_name)]
AllowedOrigin = Annotated[str, AfterValidator(checked_origin)]
