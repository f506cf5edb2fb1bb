"""The forms of the HTTP binding; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE

from .forms import form
from .paths import affordance_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .protocols import (
        DescribedAction,
        DescribedEvent,
        DescribedProperty,
        DescribedThing,
    )

_JSON = ("application/json",)
Forms = list[dict[str, Any]]

PROBLEM_ANSWER = {"contentType": PROBLEM_MEDIA_TYPE, "schema": "problem"}
_ACTION_STATUS = {"success": True, "contentType": "application/json", "schema": "actionStatus"}
# Flat, because the W3C's JSON-LD context takes `properties` here for affordances of the Thing.
SCHEMA_DEFINITIONS: dict[str, dict[str, Any]] = {
    "problem": {
        "type": "object",
        "description": (
            "Problem details (RFC 9457): `detail` tells people what went wrong, and `errors` "
            "lists each mistake of a value."
        ),
        "required": ["type", "title", "status", "detail"],
    },
    "actionStatus": {
        "type": "object",
        "description": (
            "An invocation of an action (WoT Profiles, ActionStatus): `status` is pending, "
            "running, completed or failed; then it has an `output` or an `error`. `href` is where "
            "to ask again."
        ),
        "required": ["status", "href", "timeRequested"],
    },
}
"""The schemas that forms name in `additionalResponses`."""


def used_definitions(*parts: Any) -> dict[str, Any]:
    """Return `schemaDefinitions` with those that the forms in parts of a description name."""
    names = {name for part in parts for name in _schema_names(part)}
    used = {name: schema for name, schema in SCHEMA_DEFINITIONS.items() if name in names}
    return {"schemaDefinitions": used} if used else {}


def _schema_names(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _schema_names(each)
    elif isinstance(part, dict):
        for answer in part.get("additionalResponses", ()):
            yield answer["schema"]
        for each in part.values():
            yield from _schema_names(each)


class HttpForms:
    """Writes the forms of the HTTP binding; `path` is the URL of a Thing, with a slash at its end.

    The order matters, because some clients use the first form that matches.
    """

    def thing_forms(self, thing: DescribedThing, path: str) -> Forms:
        """Return forms for several properties, all invocations and all events."""
        forms: Forms = []
        properties, hidden = thing.property_descriptors.values(), thing.hidden_resources
        if properties and "properties" not in hidden:
            href = f"{path}properties"
            forms.append(_form(href, "readallproperties", method="GET"))
            if not all(descriptor.readonly for descriptor in properties):
                forms.append(_form(href, "writemultipleproperties", method="PUT"))
            if any(descriptor.is_observable for descriptor in properties):
                forms += _subscribe(href, "observeallproperties", "unobserveallproperties")
        if thing.action_descriptors and "actions" not in hidden:
            forms.append(_form(f"{path}actions", "queryallactions", method="GET"))
        if thing.event_descriptors and "events" not in hidden:
            forms += _subscribe(f"{path}events", "subscribeallevents", "unsubscribeallevents")
        return forms

    def property_forms(self, descriptor: DescribedProperty, path: str) -> Forms:
        """Return forms to read, write and observe, as far as the property allows it."""
        href = affordance_path(path, descriptor.name)
        forms = [_form(href, "readproperty", method="GET")]
        if not descriptor.readonly:
            forms.append(_form(href, "writeproperty", method="PUT"))
        for media_type in descriptor.schema.file_types[:1]:
            forms.append(_form(href, "readproperty", method="GET", content_type=media_type))
            if not descriptor.readonly:
                forms.append(_form(href, "writeproperty", method="PUT", content_type=media_type))
        if descriptor.is_observable:
            forms += _subscribe(href, "observeproperty", "unobserveproperty")
        return forms

    def action_forms(self, descriptor: DescribedAction, path: str) -> Forms:
        """Return forms to invoke, and to query or cancel an invocation by its id.

        Nothing tells a client the id of an invocation of a synchronous action.
        """
        href = affordance_path(path, descriptor.name)
        takes = descriptor.input_schema.file_types[:1] if descriptor.takes_input else ()
        if descriptor.synchronous:
            gives = descriptor.output_schema.file_types[:1]
            arrays = {"response_content_type": gives[0]} if gives else {}
            types = takes or (_JSON if gives else ())
            return [
                _form(href, "invokeaction", method="POST"),
                *(
                    _form(href, "invokeaction", method="POST", content_type=media_type, **arrays)
                    for media_type in types
                ),
            ]
        answers = (_ACTION_STATUS, PROBLEM_ANSWER)
        invoke: dict[str, Any] = {"method": "POST", "additional_responses": answers}
        sends = invoke | {"response_content_type": _JSON[0]}
        return [
            form(href, "invokeaction", **invoke),
            *(form(href, "invokeaction", **sends, content_type=media_type) for media_type in takes),
            form(f"{href}/{{actionID}}", "queryaction", method="GET", additional_responses=answers),
            _form(f"{href}/{{actionID}}", "cancelaction", method="DELETE"),
        ]

    def event_forms(self, descriptor: DescribedEvent, path: str) -> Forms:
        """Return forms to subscribe by long polling or server-sent events."""
        href = affordance_path(path, descriptor.name)
        return _subscribe(href, "subscribeevent", "unsubscribeevent")


def _subscribe(href: str, begin: str, end: str) -> Forms:
    """Return a form for long polling and two for server-sent events.

    The form for long polling names no method, because node-wot would also use it for its first HEAD
    request. The first form of the stream has both operations, as the SSE Profile has it: node-wot
    then ends the stream when it is told to stop. hololinked finds a form only if `op` is one text.
    The content type is that of the `data` of an event (SSE Profile, 7.2.1.1).
    """
    return [
        _form(f"{href}?observe=longpoll", [begin, end], subprotocol="longpoll"),
        _form(href, [begin, end], subprotocol="sse", method="GET"),
        _form(href, begin, subprotocol="sse", method="GET"),
    ]


def _form(href: str, op: str | Sequence[str], **members: Any) -> dict[str, Any]:
    """Return a form whose errors are problem details."""
    return form(href, op, additional_responses=[PROBLEM_ANSWER], **members)
