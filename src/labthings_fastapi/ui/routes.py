"""`/` and `/ui/`: the web page and its files.

The page uses the public API only. Its content security policy allows nothing of other origins, no
inline script or style, and no code made of texts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from labthings_fastapi.routes import ProblemRoute

from .bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI

UI_PATH = "/ui/"
_METHODS = ["GET", "HEAD"]
# Pictures that runs return, and files that the page makes, are `blob:` and `data:`.
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Vary": "Accept",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_NOT_BUILT = Path(__file__).with_name("not_built.html").read_text("utf-8")


def path_of_thing(name: str) -> str:
    """Return the path of the page of a Thing, below the prefix of the server."""
    return f"{UI_PATH}#/thing/{quote(name)}"


async def _page(bundle: Bundle, root: str) -> Response:
    """Return the page; `root` is the relative URL of the server's own root, as `./`."""
    body = await run_in_threadpool(bundle.page, f"{root}ui/")
    if body is None:
        body = _NOT_BUILT.replace("{root}", root).encode()
    return Response(body, media_type="text/html", headers=PAGE_HEADERS)


def attach(
    app: FastAPI, prefix: str = "", bundle: Bundle | None = None
) -> Callable[[Request], Awaitable[Response | None]]:
    """Serve the page at `/ui/`, with its files below.

    What is returned gives the page to browsers at the root of the server too, and None to programs.
    """
    files = bundle or Bundle()
    router = APIRouter(route_class=ProblemRoute, include_in_schema=False)

    @router.api_route(UI_PATH.rstrip("/"), name="ui_folder", methods=_METHODS)
    async def to_folder() -> Response:
        return RedirectResponse("ui/")

    @router.api_route(UI_PATH, name="ui", methods=_METHODS)
    async def show_page() -> Response:
        return await _page(files, "../")

    @router.api_route(UI_PATH + "{name:path}", name="ui_file", methods=_METHODS)
    async def file(request: Request, name: str) -> Response:
        gzipped = "gzip" in request.headers.get("accept-encoding", "")
        found = await run_in_threadpool(files.file, name, gzipped=gzipped)
        if found is None:
            raise HTTPException(404, f"The web page has no file {name!r}: load it again.")
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": _FOR_EVER if found.is_final else "no-cache",
            "Vary": "Accept-Encoding",
        }
        if found.is_compressed:
            headers["Content-Encoding"] = "gzip"
        return Response(found.body, media_type=found.media_type, headers=headers)

    app.include_router(router, prefix=prefix)

    async def page_at_root(request: Request) -> Response | None:
        if "text/html" not in request.headers.get("accept", ""):
            return None
        return await _page(files, "./")

    return page_at_root
