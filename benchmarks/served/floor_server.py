"""The floor: bare Starlette routes that answer from memory what was put there under their names.

Started with a JSON object, path → [method, status, media type, body, ETag or null].
"""

import json
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def _route(
    path: str, method: str, status: int, media_type: str, text: str, etag: str | None
) -> Route:
    body = text.encode()
    headers = {} if etag is None else {"etag": etag}

    async def answer(request: Request) -> Response:
        if method in ("POST", "PUT"):
            await request.body()
        elif etag is not None and request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, status, headers, media_type if body else None)

    return Route(path, answer, methods=[method])


app = Starlette(routes=[_route(path, *what) for path, what in json.loads(sys.argv[1]).items()])
uvicorn.run(
    app,
    port=int(sys.argv[2]),
    access_log=False,
    log_level="warning",
    loop="uvloop",
    http="httptools",
)
