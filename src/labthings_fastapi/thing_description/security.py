"""The security members of a Thing Description (W3C TD 1.1, section 5.3.3); pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEFINITIONS: dict[str, dict[str, Any]] = {
    # The standard's defaults would mean a signed JWT; the tokens are random text.
    "bearer": {"scheme": "bearer", "in": "header", "format": "opaque", "alg": "none"},
    "basic": {"scheme": "basic", "in": "header", "name": "Authorization"},
}


def security_members(schemes: Sequence[str] = ()) -> dict[str, Any]:
    """Return `securityDefinitions` and `security` of a server that accepts any of the schemes."""
    if not schemes:
        return {"securityDefinitions": {"nosec_sc": {"scheme": "nosec"}}, "security": "nosec_sc"}
    definitions = {f"{scheme}_sc": _DEFINITIONS[scheme] for scheme in schemes}
    if len(schemes) == 1:
        return {"securityDefinitions": definitions, "security": f"{schemes[0]}_sc"}
    either = {"scheme": "combo", "oneOf": list(definitions)}
    return {"securityDefinitions": {**definitions, "either_sc": either}, "security": "either_sc"}
