"""`/docs`: the OpenAPI document as a page for reading and trying out.

The page loads nothing from other hosts. The files of Swagger UI are in the package
`fastapi-swagger`; decision 10 has the reasons.
"""

from __future__ import annotations

import hashlib
import posixpath
from functools import cache
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_oauth2_redirect_html
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response

from labthings_fastapi.routes import ProblemRoute

DOCS_PATH = "/docs"
REDOC_PATH = "/redoc"
_START_SCRIPT = "docs_page.js"
_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
    _START_SCRIPT: "text/javascript",
}
_METHODS = ["GET", "HEAD"]

# The style sheet has icons as `data:`. The page shows pictures that actions return as `blob:`.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FILE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # The path contains a digest of the files, so the content at one path never changes.
    "Cache-Control": "public, max-age=31536000, immutable",
}

# URLs are relative, so the page works in a mounted app, and behind proxies that shorten paths.
_PAGE = Path(__file__).with_name("docs_page.html").read_text("utf-8")


@cache
def files_of_the_page() -> tuple[str, dict[str, Path]]:
    """Return a digest of the files that the page loads, and the path of each; reads the disk."""
    digest = hashlib.sha256()
    paths: dict[str, Path] = {}
    for name in _MEDIA_TYPES:
        try:
            bundle = Path(str(resources.files("fastapi_swagger") / "resources" / name))
            paths[name] = bundle if name != _START_SCRIPT else Path(__file__).with_name(name)
            digest.update(paths[name].read_bytes())
        except (ImportError, OSError) as error:
            raise HTTPException(
                503,
                f"The file {name} of this page is not installed. Install it with "
                "`pip install --force-reinstall fastapi-swagger`. Everything else works without "
                "it; the same information is in /openapi.json.",
            ) from error
    return digest.hexdigest()[:16], paths


def attach(app: FastAPI, prefix: str = "") -> None:
    """Serve the page below `prefix`, and where FastAPI apps have their pages, at the root."""
    for place in {prefix, ""}:
        _attach_page(app, place)


def _attach_page(app: FastAPI, prefix: str) -> None:
    router = APIRouter(route_class=ProblemRoute, include_in_schema=False)
    openapi = posixpath.relpath(app.openapi_url or "/", prefix or "/")

    @router.api_route(DOCS_PATH, name="docs", methods=_METHODS)
    @router.api_route(REDOC_PATH, name="redoc", methods=_METHODS)
    async def page() -> Response:
        digest, _ = await run_in_threadpool(files_of_the_page)
        text = _PAGE.format(files=f".{DOCS_PATH}/{digest}", openapi=openapi)
        return HTMLResponse(text, headers=_PAGE_HEADERS)

    @router.api_route(f"{DOCS_PATH}/oauth2-redirect", name="oauth2_redirect", methods=_METHODS)
    async def oauth2_redirect() -> Response:
        # The server signs nobody in by OAuth 2; a lab's own app may.
        return get_swagger_ui_oauth2_redirect_html()

    @router.api_route(f"{DOCS_PATH}/{{digest}}/{{name}}", name="docs_file", methods=_METHODS)
    async def file(digest: str, name: str) -> Response:
        current, paths = await run_in_threadpool(files_of_the_page)
        if name not in paths or digest != current:
            raise HTTPException(404, f"There is no file {name!r} here: load {DOCS_PATH} again.")
        return FileResponse(paths[name], media_type=_MEDIA_TYPES[name], headers=_FILE_HEADERS)

    app.include_router(router, prefix=prefix)
