"""The floor of large files: Starlette's FileResponse, and a body that is written as it arrives.

Started with the path of a file to send, and a port.
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

FILE, PORT = sys.argv[1], int(sys.argv[2])


async def download(request: Request) -> Response:
    return FileResponse(FILE, media_type="application/octet-stream")


async def upload(request: Request) -> Response:
    with open(f"{FILE}.uploaded", "wb") as file:  # noqa: ASYNC230 - the least that can be done
        async for chunk in request.stream():
            file.write(chunk)
    return Response(status_code=201)


app = Starlette(
    routes=[Route("/file", download), Route("/blob", upload, methods=["POST"])],
)
uvicorn.run(
    app,
    port=PORT,
    access_log=False,
    log_level="warning",
    loop="uvloop",
    http="httptools",
)
