"""Commands about Things and properties: things, describe, get, set."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from labthings_fastapi.client.signatures import signature_of
from labthings_fastapi.client.value_texts import expected, value_of
from labthings_fastapi.exceptions import ClientPropertyError

from .bench import DEFAULT_SERVER, Json, Server, Verify, bench
from .completion import complete_property, complete_thing, complete_value, complete_writable
from .printing import print_json, print_table, print_text, shown

Properties = Annotated[
    list[str],
    typer.Argument(metavar="THING.PROPERTY…", autocompletion=complete_property),
]


def things(server: Server = DEFAULT_SERVER, verify: Verify = "", json: Json = False) -> None:
    """List the Things of the server."""
    with bench(server, verify) as opened:
        found = [(name, opened.thing(name).description) for name in opened.descriptions]
    if json:
        print_json(
            [
                {
                    "name": name,
                    "title": each.title,
                    "description": each.members.get("description"),
                    "properties": list(each.affordances("properties")),
                    "actions": list(each.affordances("actions")),
                    "events": list(each.affordances("events")),
                }
                for name, each in found
            ]
        )
        return
    print_table(
        ("Thing", "title", "properties", "actions"),
        (
            (
                name,
                each.title,
                ", ".join(each.affordances("properties")),
                ", ".join(each.affordances("actions")),
            )
            for name, each in found
        ),
    )


def describe(
    thing: Annotated[str, typer.Argument(metavar="THING", autocompletion=complete_thing)],
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Say what a Thing can do; with --json, its Thing Description."""
    with bench(server, verify) as opened:
        found = opened.thing(thing).description
    if json:
        print_json(found.members)
        return
    print_text(str(found.members.get("description") or found.title))
    rows: list[tuple[str, str, str]] = []
    for name, schema in found.affordances("properties").items():
        access = ", read-only" if schema.get("readOnly") else ""
        rows.append(("property", f"{thing}.{name}", f"{expected(schema)}{access}"))
    for name, action in found.affordances("actions").items():
        stop = " (emergency stop)" if action.get("labthings:stop") else ""
        rows.append(("action", f"{thing}.{name}", f"{_call(action)}{stop}"))
    for name, event in found.affordances("events").items():
        rows.append(
            ("event", f"{thing}.{name}", expected(event["data"]) if "data" in event else "")
        )
    print_table(("", "name", "what it takes"), rows)


def _call(action: Any) -> str:
    try:
        return str(signature_of(action)).replace(" -> typing.Any", "")
    except ValueError:  # of another server, whose parameters are no Python
        return "(…)"


def get(
    properties: Properties,
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Read properties. One is printed as it is, several with their names."""
    with bench(server, verify) as opened:
        named = [opened.affordance(each, "properties") for each in properties]
        values = [(str(each), opened.run(each.protocol.read(each.name))) for each in named]
    if json:
        print_json(values[0][1] if len(values) == 1 else dict(values))
    elif len(values) == 1:
        print_text(shown(values[0][1]))
    else:
        print_table(("property", "value"), values)


def set_property(
    property: Annotated[
        str,
        typer.Argument(metavar="THING.PROPERTY", autocompletion=complete_writable),
    ],
    value: Annotated[str, typer.Argument(metavar="VALUE", autocompletion=complete_value)],
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Set a property. A negative number goes after `--`, as in `set -- stage.x -3`."""
    with bench(server, verify) as opened:
        named = opened.affordance(property, "properties")
        found = value_of(value, named.schema, str(named))
        try:
            opened.run(named.protocol.write(named.name, found))
        except ClientPropertyError as error:
            if error.problem.get("status") == 422:
                text = f"{str(error).rstrip('.')}. It takes {expected(named.schema)}."
                raise ClientPropertyError(text, problem=error.problem) from error
            raise
    if json:
        print_json({"property": str(named), "value": found})
