"""The HTTP resources of the files of an invocation: the list, each file, and all as a zip."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from labthings_fastapi.actions.invocation_model import ACTION_INVOCATIONS_PATH
from labthings_fastapi.actions.recorded_invocation import (
    Invocations,
    KnownInvocation,
    find_invocation,
)
from labthings_fastapi.outputs.checksums import Content, checksums
from labthings_fastapi.outputs.media_types import media_type_of
from labthings_fastapi.outputs.routes import ZipResponse, file_response
from labthings_fastapi.request_location import base_url

CHECKSUM_SECONDS: Final = 2.0
"""So long a list waits for checksums that are not known yet."""
_FILES: Final = f"{ACTION_INVOCATIONS_PATH}/{{id}}/files"
_Responses = dict[int | str, dict[str, Any]]
_NO_RUN: Final[_Responses] = {404: {"description": "No such invocation"}}
_FILE: Final[_Responses] = {
    200: {"content": {"*/*": {}}, "description": "The content; of one that grows, what is there"},
    206: {"description": "A range of it"},
    404: {"description": "No such invocation or file"},
}
_ZIP: Final[_Responses] = {200: {"content": {"application/zip": {}}}, **_NO_RUN}


class FileModel(BaseModel):
    """A file that an invocation has left, or writes."""

    name: str = Field(description="With slashes where it is in a folder.")
    href: str
    media_type: str
    size: int = Field(description="In bytes.")
    modified: datetime
    checksum: str | None = Field(
        description="`sha256:` and 64 hexadecimal digits; null while the run goes on, and for a "
        "large file at first: it is read once, so ask again."
    )


def listed(invocation: KnownInvocation, address: str) -> list[FileModel]:
    """Return the files of an invocation; waits for the disk."""
    is_open = invocation.snapshot().is_open
    files = invocation.files.all()
    contents = [] if is_open else [Content.of(each.path, each.facts) for each in files]
    sums = checksums.of(contents, CHECKSUM_SECONDS) or [None] * len(files)
    return [
        FileModel(
            name=each.name,
            href=f"{address}/{quote(each.name)}",
            media_type=media_type_of(each.name),
            size=each.facts.st_size,
            modified=datetime.fromtimestamp(each.facts.st_mtime, UTC),
            checksum=checksum,
        )
        for each, checksum in zip(files, sums, strict=True)
    ]


def add_files(router: APIRouter, manager: Invocations, prefix: str) -> None:
    """Add the resources to a router whose paths begin with `prefix`."""

    @router.get(_FILES, name="action_invocation_files", responses=_NO_RUN)
    async def list_files(request: Request, id: UUID) -> list[FileModel]:
        """List the files that the run has left, or has written so far."""
        invocation = await find_invocation(manager, id)
        address = f"{base_url(request.scope)}{prefix}{ACTION_INVOCATIONS_PATH}/{id}/files"
        return await asyncio.to_thread(listed, invocation, address)

    @router.get(
        f"{_FILES}.zip",
        name="action_invocation_zip",
        response_class=Response,
        responses=_ZIP,
    )
    async def get_zip(id: UUID) -> Response:
        """Download all files of the run as one zip, which is not compressed."""
        invocation = await find_invocation(manager, id)
        found = await asyncio.to_thread(invocation.files.all)
        record = invocation.snapshot()
        name = f"{record.thing}-{record.action}-{str(id)[:8]}.zip"
        return ZipResponse([(each.name, each.path) for each in found], name)

    @router.get(
        f"{_FILES}/{{filename:path}}",
        name="action_invocation_file",
        response_class=Response,
        responses=_FILE,
    )
    async def get_file(id: UUID, filename: str) -> Response:
        """Download a file of the run, also while it is written, or a range of it."""
        invocation = await find_invocation(manager, id)
        found = await asyncio.to_thread(invocation.files.find, filename)
        if found is None:
            raise HTTPException(404, f"Invocation {id} left no file called {filename!r}.")
        return file_response(found.path)
