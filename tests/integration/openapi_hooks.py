"""Hooks of Schemathesis: long responses are requested in the form that ends soon.

Schemathesis loads this file itself, in a process of its own, because of SCHEMATHESIS_HOOKS.
"""

from __future__ import annotations

from itertools import count

import schemathesis

KEY = "Idempotency-Key"
LONGEST_KEY = 255
fresh = count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Send what is needed although the document cannot express it.

    A key is sent once, a cursor only where one was given, and what can be followed is followed by
    long polling, which the server under test does not do for long.
    """
    key = (case.headers or {}).get(KEY)
    if key and len(key) <= LONGEST_KEY:
        case.headers[KEY] = f"{key[:200]}-{next(fresh)}"
    if case.query and "cursor" in case.query:
        del case.query["cursor"]
    good = case.operation.definition.raw["responses"].get("200", {})
    if "text/event-stream" in good.get("content", {}):
        query = {name: value for name, value in (case.query or {}).items() if name != "observe"}
        # A poll of all properties waits until one changes, which nobody does here.
        all_of_them = case.operation.path.endswith("/properties")
        case.query = query if all_of_them else {**query, "observe": "longpoll"}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Describe tuples by what any of their parts may be.

    Schemathesis 4.32 rewrites `prefixItems` as JSON Schema had it before 2020, and then refuses it.
    """
    _loosen(raw_schema)


def _loosen(node):
    if isinstance(node, list):
        for each in node:
            _loosen(each)
    elif isinstance(node, dict):
        for each in node.values():
            _loosen(each)
        if "prefixItems" in node:
            node["items"] = {"anyOf": node.pop("prefixItems")}


@schemathesis.serializer("application/offset+octet-stream")
def bytes_of_an_upload(context, value):
    """Send bytes as they are."""
    return getattr(value, "data", value)
