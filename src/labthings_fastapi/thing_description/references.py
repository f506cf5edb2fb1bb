"""Names within a Thing Description that must be declared somewhere else in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .model import Form, InteractionAffordance, ThingDescription
from .security_model import APIKeySecurityScheme, ComboSecurityScheme

_TEMPLATE = re.compile(r"\{[+#./;?&=,!@|]?([^{}]*)\}")
_MODIFIER = re.compile(r"(?::\d+|\*)$")


class Violation(NamedTuple):
    """Where in the document, and what is wrong there."""

    path: str
    message: str


def undeclared_names(td: ThingDescription) -> Iterator[Violation]:
    """Yield each use of a security definition, schema or URI variable that is not declared."""
    yield from _security("security", td.security, td)
    for name, scheme in td.security_definitions.items():
        if isinstance(scheme, ComboSecurityScheme):
            yield from _security(
                f"securityDefinitions.{name}", [*(scheme.one_of or ()), *(scheme.all_of or ())], td
            )
    for path, form, affordance in _forms(td):
        yield from _security(f"{path}.security", form.security or (), td)
        yield from _schemas(path, form, td)
        yield from _variables(path, form, affordance, td)


def _forms(td: ThingDescription) -> Iterator[tuple[str, Form, InteractionAffordance | None]]:
    for index, own_form in enumerate(td.forms or ()):
        yield f"forms[{index}]", own_form, None
    groups: tuple[tuple[str, Mapping[str, InteractionAffordance]], ...] = (
        ("properties", td.properties or {}),
        ("actions", td.actions or {}),
        ("events", td.events or {}),
    )
    for group, affordances in groups:
        for name, affordance in affordances.items():
            forms: Sequence[Form] = getattr(affordance, "forms", ())
            for index, form in enumerate(forms):
                yield f"{group}.{name}.forms[{index}]", form, affordance


def _security(path: str, names: str | Sequence[str], td: ThingDescription) -> Iterator[Violation]:
    for name in [names] if isinstance(names, str) else names:
        if name not in td.security_definitions:
            yield Violation(path, f"{name!r} is not in 'securityDefinitions'")


def _schemas(path: str, form: Form, td: ThingDescription) -> Iterator[Violation]:
    for index, response in enumerate(form.additional_responses or ()):
        if response.schema_ is not None and response.schema_ not in (td.schema_definitions or {}):
            yield Violation(
                f"{path}.additionalResponses[{index}].schema",
                f"{response.schema_!r} is not in 'schemaDefinitions'",
            )


def _variables(
    path: str, form: Form, affordance: InteractionAffordance | None, td: ThingDescription
) -> Iterator[Violation]:
    declared = {
        *(td.uri_variables or ()),
        *((affordance.uri_variables or ()) if affordance else ()),
        *_keys_in_uris(td),
    }
    for name in _template_variables(form.href):
        if name not in declared:
            yield Violation(f"{path}.href", f"the variable {name!r} is not in 'uriVariables'")


def _keys_in_uris(td: ThingDescription) -> Iterator[str]:
    for scheme in td.security_definitions.values():
        if isinstance(scheme, APIKeySecurityScheme) and scheme.in_ in ("uri", "query"):
            yield scheme.name or ""


def _template_variables(href: str) -> Iterator[str]:
    """Yield the variables of a URI Template (RFC 6570)."""
    for expression in _TEMPLATE.findall(href):
        for variable in expression.split(","):
            yield _MODIFIER.sub("", variable)
