"""Names in a Thing Description that must be declared elsewhere in the same document.

JSON Schema cannot express these rules of W3C TD 1.1 (sections 5.3.3, 5.3.4.2 and 7.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Td = Mapping[str, Any]
Violation = tuple[str, str]
"""A path in the document, and a message."""

# An expression of a URI Template (RFC 6570), and the modifiers of a variable in it.
_EXPRESSION = re.compile(r"\{[+#./;?&=,!@|]?([^{}]*)\}")
_MODIFIER = re.compile(r"(?::\d+|\*)$")


def undeclared_names(td: Td) -> Iterator[Violation]:
    """Yield each use of a security definition, schema or URI variable that is not declared.

    The document must be valid against the W3C's JSON schema.
    """
    yield from _security("security", td["security"], td)
    for name, scheme in td["securityDefinitions"].items():
        if scheme["scheme"] == "combo":
            combined = [*_names(scheme.get("oneOf")), *_names(scheme.get("allOf"))]
            yield from _security(f"securityDefinitions.{name}", combined, td)
    for path, form, affordance in _forms(td):
        yield from _security(f"{path}.security", form.get("security"), td)
        yield from _response_schemas(path, form, td)
        yield from _uri_variables(path, form, affordance, td)


def _forms(td: Td) -> Iterator[tuple[str, Td, Td]]:
    for index, form in enumerate(td.get("forms", ())):
        yield f"forms[{index}]", form, {}
    for group in ("properties", "actions", "events"):
        for name, affordance in td.get(group, {}).items():
            for index, form in enumerate(affordance["forms"]):
                yield f"{group}.{name}.forms[{index}]", form, affordance


def _security(path: str, names: Any, td: Td) -> Iterator[Violation]:
    for name in _names(names):
        if name not in td["securityDefinitions"]:
            yield path, f"{name!r} is not in 'securityDefinitions'"


def _response_schemas(path: str, form: Td, td: Td) -> Iterator[Violation]:
    for index, response in enumerate(form.get("additionalResponses", ())):
        name = response.get("schema")
        if name is not None and name not in td.get("schemaDefinitions", {}):
            where = f"{path}.additionalResponses[{index}].schema"
            yield where, f"{name!r} is not in 'schemaDefinitions'"


def _uri_variables(path: str, form: Td, affordance: Td, td: Td) -> Iterator[Violation]:
    declared = {
        *td.get("uriVariables", ()),
        *affordance.get("uriVariables", ()),
        *(
            scheme.get("name")
            for scheme in td["securityDefinitions"].values()
            if scheme["scheme"] == "apikey" and scheme.get("in") in ("uri", "query")
        ),
    }
    for expression in _EXPRESSION.findall(form["href"]):
        for variable in expression.split(","):
            name = _MODIFIER.sub("", variable)
            if name not in declared:
                yield f"{path}.href", f"the variable {name!r} is not in 'uriVariables'"


def _names(value: Any) -> list[str]:
    """Return the names in a member that holds one name or an array of them."""
    values = value if isinstance(value, list) else [value]
    return [name for name in values if isinstance(name, str)]
