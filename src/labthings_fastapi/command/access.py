"""Commands about servers: login, logout, discover."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from labthings_fastapi.client.description import origin_of
from labthings_fastapi.client.tokens import store_token
from labthings_fastapi.exceptions import ClientError

from .bench import DEFAULT_SERVER, Json, Server, Verify, bench, place_of
from .exit_codes import UsageError
from .printing import print_json, print_table, print_text, remark


def login(
    token: Annotated[
        str, typer.Option(help="The token. Without it, it is asked for, and not shown.")
    ] = "",
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Keep a token for the server in a file that only you can read."""
    found = token or typer.prompt(f"Token for {place_of(server)}", hide_input=True, err=True)
    with bench(server, verify, found.strip()) as opened:
        names = list(opened.descriptions)  # refused if the token is wrong
        file = store_token(origin_of(opened.place), found.strip())
    if json:
        print_json({"server": place_of(server), "file": str(file), "things": names})
    else:
        print_text(f"The token for {place_of(server)} is kept in {file}.")


def logout(server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Forget the token for the server."""
    file = store_token(origin_of(place_of(server)), None)
    if json:
        print_json({"server": place_of(server), "file": str(file)})
    else:
        print_text(f"The token for {place_of(server)} is no longer in {file}.")


def discover(
    directories: Annotated[
        list[str] | None,
        typer.Argument(metavar="URL…", help="Servers whose directories are read as well."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long to listen to the network.")] = 3,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Find Things on the network by mDNS, and in the directories of servers."""
    found: list[dict[str, Any]] = []
    failed: ClientError | None = None
    for server in directories or ():
        try:
            found += _in_directory(server, verify)
        except ClientError as error:
            remark(str(error))
            failed = error
    found += _by_mdns(seconds, needed=not directories)
    if json:
        print_json(found)
    else:
        print_table(("name", "type", "address"), (tuple(each.values()) for each in found))
    if failed is not None:
        raise failed


def _in_directory(server: str, verify: str) -> list[dict[str, Any]]:
    with bench(server, verify) as opened:
        things = {name: opened.thing(name).description for name in opened.descriptions}
        return [{"name": name, "type": "Thing", "url": each.url} for name, each in things.items()]


def _by_mdns(seconds: float, *, needed: bool) -> list[dict[str, Any]]:
    try:
        import zeroconf
    except ImportError:
        text = "To listen to the network, install `labthings-fastapi[discovery]`."
        if needed:
            raise UsageError(
                f"{text} Or name the servers, as in `labthings discover URL`."
            ) from None
        remark(text)
        return []
    if seconds <= 0:
        return []
    return _browse(zeroconf, seconds)


def _browse(zeroconf: Any, seconds: float) -> list[dict[str, Any]]:
    from labthings_fastapi.discovery.services import SERVICE_TYPE

    names: dict[str, None] = {}  # appended by the thread of zeroconf

    def changed(state_change: Any, name: str, **_: Any) -> None:
        if state_change is not zeroconf.ServiceStateChange.Removed:
            names[name] = None

    try:
        network = zeroconf.Zeroconf()
    except OSError as error:
        raise ClientError(f"The network cannot be listened to: {error}") from error
    try:
        zeroconf.ServiceBrowser(network, SERVICE_TYPE, handlers=[changed])
        time.sleep(seconds)
        infos = [network.get_service_info(SERVICE_TYPE, name, 1000) for name in list(names)]
    finally:
        network.close()
    return [_service(info) for info in infos if info is not None and info.parsed_addresses()]


def _service(info: Any) -> dict[str, Any]:
    members = {
        key.decode("utf-8", "replace"): (value or b"").decode("utf-8", "replace")
        for key, value in info.properties.items()
    }
    address = info.parsed_addresses()[0]
    host = f"[{address}]" if ":" in address else address
    path = members.get("td", "").lstrip("/")
    return {
        "name": info.name.removesuffix(f".{info.type}"),
        "type": members.get("type", "Thing"),
        "url": f"{members.get('scheme', 'http')}://{host}:{info.port}/{path}",
    }
