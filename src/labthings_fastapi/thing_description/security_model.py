"""The security vocabulary (W3C TD 1.1, section 5.3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from .vocabulary import Maybe, MultiLanguage, OneOrMany, TypeNames, UriReference, Vocabulary

InvocationUrls = Literal["header", "query", "body", "cookie", "auto"]
PlaceOfKey = Literal["header", "query", "body", "cookie", "uri", "auto"]
Names = Annotated[list[str], Field(min_length=2)]


class SecurityScheme(Vocabulary):
    """One way to prove who one is; also a scheme of a context extension, named with its prefix."""

    at_type: Maybe[TypeNames] = Field(None, alias="@type")
    description: Maybe[str] = None
    descriptions: Maybe[MultiLanguage] = None
    proxy: Maybe[UriReference] = None
    scheme: str


class NoSecurityScheme(SecurityScheme):
    """No authentication is needed."""

    scheme: Literal["nosec"]


class AutoSecurityScheme(SecurityScheme):
    """The protocol's own negotiation tells."""

    scheme: Literal["auto"]


class ComboSecurityScheme(SecurityScheme):
    """Several other schemes, by name: all of them, or one."""

    scheme: Literal["combo"]
    one_of: Maybe[Names] = Field(None, alias="oneOf")
    all_of: Maybe[Names] = Field(None, alias="allOf")

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.one_of is None) == (self.all_of is None):
            raise ValueError("must have either 'oneOf' or 'allOf'")
        return self


class BasicSecurityScheme(SecurityScheme):
    """User name and password, RFC 7617."""

    scheme: Literal["basic"]
    name: Maybe[str] = None
    in_: Maybe[InvocationUrls] = Field(None, alias="in")


class DigestSecurityScheme(SecurityScheme):
    """A digest of user name and password, RFC 7616."""

    scheme: Literal["digest"]
    name: Maybe[str] = None
    in_: Maybe[InvocationUrls] = Field(None, alias="in")
    qop: Maybe[Literal["auth", "auth-int"]] = None


class APIKeySecurityScheme(SecurityScheme):
    """A key that says nothing of itself."""

    scheme: Literal["apikey"]
    name: Maybe[str] = None
    in_: Maybe[PlaceOfKey] = Field(None, alias="in")


class BearerSecurityScheme(SecurityScheme):
    """A token that whoever holds it may use, RFC 6750."""

    scheme: Literal["bearer"]
    authorization: Maybe[UriReference] = None
    name: Maybe[str] = None
    alg: Maybe[str] = None
    format: Maybe[str] = None
    in_: Maybe[InvocationUrls] = Field(None, alias="in")


class PSKSecurityScheme(SecurityScheme):
    """A key that both sides know beforehand."""

    scheme: Literal["psk"]
    identity: Maybe[str] = None


class OAuth2SecurityScheme(SecurityScheme):
    """OAuth 2.0, RFC 6749 and RFC 8628."""

    scheme: Literal["oauth2"]
    authorization: Maybe[UriReference] = None
    token: Maybe[UriReference] = None
    refresh: Maybe[UriReference] = None
    scopes: Maybe[OneOrMany[str]] = None
    flow: str

    @model_validator(mode="after")
    def _flow_has_its_servers(self) -> Self:
        if self.flow in ("code", "device") and self.authorization is None:
            raise ValueError(f"the flow {self.flow!r} needs 'authorization'")
        if self.flow in ("code", "device", "client") and self.token is None:
            raise ValueError(f"the flow {self.flow!r} needs 'token'")
        if self.flow == "client" and self.authorization is not None:
            raise ValueError("the flow 'client' has no 'authorization'")
        return self


SCHEMES = frozenset(
    {"nosec", "auto", "combo", "basic", "digest", "apikey", "bearer", "psk", "oauth2"}
)


def _tag(value: Any) -> str | None:
    scheme = value.get("scheme") if isinstance(value, Mapping) else getattr(value, "scheme", None)
    if not isinstance(scheme, str):
        return None
    if scheme in SCHEMES:
        return f"({scheme})"
    # Other schemes come from a context extension, so that their names have its prefix.
    return "(extension)" if ":" in scheme else None


TAGS = frozenset({*(f"({scheme})" for scheme in SCHEMES), "(extension)"})

AnySecurityScheme = Annotated[
    Annotated[NoSecurityScheme, Tag("(nosec)")]
    | Annotated[AutoSecurityScheme, Tag("(auto)")]
    | Annotated[ComboSecurityScheme, Tag("(combo)")]
    | Annotated[BasicSecurityScheme, Tag("(basic)")]
    | Annotated[DigestSecurityScheme, Tag("(digest)")]
    | Annotated[APIKeySecurityScheme, Tag("(apikey)")]
    | Annotated[BearerSecurityScheme, Tag("(bearer)")]
    | Annotated[PSKSecurityScheme, Tag("(psk)")]
    | Annotated[OAuth2SecurityScheme, Tag("(oauth2)")]
    | Annotated[SecurityScheme, Tag("(extension)")],
    Discriminator(
        _tag,
        custom_error_type="security_scheme",
        custom_error_message=(
            f"'scheme' must be one of {', '.join(sorted(SCHEMES))}, or have a prefix"
        ),
    ),
]
