"""What the shell offers after Tab; asked of the server, and kept for a minute."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from labthings_fastapi.client.description import Description
from labthings_fastapi.client.value_texts import enum_values

from .bench import DEFAULT_SERVER, CommandBench, place_of

KEPT_SECONDS = 60.0
_Offer = Iterator[str]


def cache_file(server: str) -> Path:
    """Return where the descriptions of a server are kept."""
    name = hashlib.sha256(place_of(server).encode()).hexdigest()[:24]
    return Path(typer.get_app_dir("labthings")) / "completion" / f"{name}.json"


def _descriptions(context: typer.Context) -> Mapping[str, Any]:
    server = str(
        context.params.get("server") or os.environ.get("LABTHINGS_SERVER") or DEFAULT_SERVER
    )
    verify = str(context.params.get("verify") or os.environ.get("LABTHINGS_VERIFY") or "")
    path = cache_file(server)
    try:
        if 0 <= time.time() - path.stat().st_mtime < KEPT_SECONDS:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(kept, dict):
                return kept
    except (OSError, ValueError):
        pass
    try:
        opened = CommandBench(server, verify)
        try:
            found = opened.descriptions
        finally:
            opened.connection.close()
    except Exception:  # noqa: BLE001 - the shell of somebody who types must not be disturbed
        return {}
    _keep(path, found)
    return found


def _keep(path: Path, found: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(found, file)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)


def _affordances(context: typer.Context, kind: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for thing, members in _descriptions(context).items():
        found = Description(place_of("localhost"), members).affordances(kind)
        for name, affordance in found.items():
            yield f"{thing}.{name}", affordance


def complete_thing(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the Things."""
    return [name for name in _descriptions(ctx) if name.startswith(incomplete)]


def complete_property(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the properties, as `thing.property`."""
    return [name for name, _ in _affordances(ctx, "properties") if name.startswith(incomplete)]


def complete_writable(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the properties that can be set."""
    return [
        name
        for name, schema in _affordances(ctx, "properties")
        if name.startswith(incomplete) and not schema.get("readOnly")
    ]


def complete_action(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the actions, as `thing.action`."""
    return [name for name, _ in _affordances(ctx, "actions") if name.startswith(incomplete)]


def complete_event(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the events, as `thing.event`."""
    return [name for name, _ in _affordances(ctx, "events") if name.startswith(incomplete)]


def complete_value(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the values of the property that was named before."""
    schema = dict(_affordances(ctx, "properties")).get(str(ctx.params.get("property")), {})
    return [value for value in _values(schema) if value.startswith(incomplete)]


def complete_parameter(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the parameters of the action that was named before, and their values."""
    action = dict(_affordances(ctx, "actions")).get(str(ctx.params.get("action")), {})
    schema = action.get("input")
    members = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(members, Mapping):
        return []
    name, equals, _ = incomplete.partition("=")
    if not equals:
        return [f"{each}=" for each in members if each.startswith(incomplete)]
    offers = (f"{name}={value}" for value in _values(members.get(name, {})))
    return [offer for offer in offers if offer.startswith(incomplete)]


def _values(schema: Any) -> _Offer:
    for value in enum_values(schema):
        yield value if isinstance(value, str) else json.dumps(value)
    kinds = [schema.get("type")] if isinstance(schema, Mapping) else []
    if "boolean" in kinds:
        yield from ("true", "false")
