"""Commands about what runs leave: files, download, pin, unpin; and upload, for their input."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Annotated, Any

import typer

from labthings_fastapi.client.downloads import download as fetch_file
from labthings_fastapi.client.problems import request_error
from labthings_fastapi.client.protocol import RunState
from labthings_fastapi.client.rich import is_blob
from labthings_fastapi.client.server_runs import file_list, files_of, find_run, pin_request
from labthings_fastapi.client.uploads import upload as upload_steps
from labthings_fastapi.exceptions import ClientError

from .bench import DEFAULT_SERVER, CommandBench, Json, Server, Verify, bench
from .exit_codes import UsageError
from .printing import print_json, print_table, print_text, remark
from .recorded import Id, ours


def files(
    run: Id, server: Server = DEFAULT_SERVER, verify: Verify = "", json: Json = False
) -> None:
    """List the files that a run left, or has written so far."""
    with bench(server, verify) as opened:
        state = opened.run(find_run(opened.place, run))
        found = opened.run(file_list(opened.place, state))
    if json:
        print_json(list(found.values()))
        return
    rows = [
        (name, each.get("size"), each.get("media_type"), each.get("checksum") or "")
        for name, each in found.items()
    ]
    print_table(("file", "bytes", "type", "checksum"), rows)


def download(
    run: Id,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILES…", help="By default all of them.")
    ] = None,
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write them.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Fetch the files that a run left, and its output if that is binary (as `output`)."""
    with bench(server, verify) as opened:
        state = opened.run(find_run(opened.place, run))
        offered = opened.run(files_of(opened.place, state))
        offered = {**_output_of(opened, state), **offered}
        unknown = [name for name in files or () if name not in offered]
        if unknown:
            known = ", ".join(offered) or "none"
            raise UsageError(f"Run {state.id} left no file called {unknown[0]!r}. It left: {known}")
        paths = {name: _target(to, name, force=force) for name in files or offered}
        to.mkdir(parents=True, exist_ok=True)
        for name, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            fetch_file(opened.connection, offered[name], path)
    if json:
        print_json([str(path) for path in paths.values()])
        return
    for path in paths.values():
        print_text(str(path))
    if not paths:
        remark(f"Run {state.id} left no files.")


def _output_of(opened: CommandBench, state: RunState) -> dict[str, str]:
    output = state.members.get("output")
    if not is_blob(output) or not isinstance(output, dict):
        return {}
    extension = mimetypes.guess_extension(str(output["media_type"])) or ""
    return {f"output{extension}": ours(opened).description.resolve(str(output["href"]))}


def _target(folder: Path, name: str, *, force: bool) -> Path:
    # The names are the server's: none may lead out of the folder.
    parts = name.split("/")
    if any(part in ("", ".", "..") or any(sign in part for sign in "\\:\0") for part in parts):
        raise ClientError(f"{name!r} is no name for a file here, so nothing was written.")
    path = folder.joinpath(*parts)
    if path.exists() and not force:
        raise UsageError(f"{path} exists. Give another folder with --to, or --force to replace it.")
    return path


def pin(run: Id, server: Server = DEFAULT_SERVER, verify: Verify = "", json: Json = False) -> None:
    """Keep a run with its blobs and files, beyond every age and limit."""
    _pin(run, server, verify, pinned=True, json=json)


def unpin(
    run: Id, server: Server = DEFAULT_SERVER, verify: Verify = "", json: Json = False
) -> None:
    """Keep a run as long as others."""
    _pin(run, server, verify, pinned=False, json=json)


def _pin(run: str, server: str, verify: str, *, pinned: bool, json: bool) -> None:
    with bench(server, verify) as opened:
        state = opened.run(find_run(opened.place, run))
        answer: Any = opened.run(pin_request(opened.place, str(state.id), pinned=pinned))
    if not answer.ok:
        raise request_error(answer, f"Run {state.id} is kept as before")
    if json:
        print_json({"id": state.id, "pinned": pinned})
    else:
        print_text(f"Run {state.id} is {'pinned' if pinned else 'not pinned any more'}.")


def upload(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to send.", exists=True, dir_okay=False)
    ],
    media_type: Annotated[
        str, typer.Option("--type", help="As in image/tiff; by default from the file's name.")
    ] = "",
    server: Server = DEFAULT_SERVER,
    verify: Verify = "",
    json: Json = False,
) -> None:
    """Send a file to the server; print the link that actions take as input.

    Without a run that uses it, the server deletes it after an hour.
    """
    with bench(server, verify) as opened:
        steps = upload_steps(ours(opened).description, file, media_type or None, place=opened.place)
        link = opened.run(steps)
    if json:
        print_json(link)
    else:
        print_text(str(link["href"]))
