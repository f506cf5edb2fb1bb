#!/bin/sh
# Starlette's FileResponse reads the size of a file first, sends it as Content-Length, and then reads
# to the end of the file. If the file grows in between, as that of a measurement does, the last chunk
# does not fit: uvicorn breaks the connection, and the client does not get the bytes that were there
# when it asked. A server of files that are still written has to stop at the size it has announced.
# Passes while this is so; fails when the client gets these bytes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet install 'starlette==1.10.0' 'uvicorn==0.54.0' 'anyio==4.16.0' 'h11==0.16.0'
"$folder/venv/bin/python" - "$folder/growing.csv" <<'PYTHON' 2>"$folder/log"
import http.client
import pathlib
import socket
import sys
import threading

import uvicorn
from starlette.responses import FileResponse

path = pathlib.Path(sys.argv[1])
path.write_bytes(b"1,2\n" * 100)


async def app(scope, receive, send):
    assert scope["type"] == "http"

    async def send_while_the_file_grows(message):
        if message["type"] == "http.response.start":
            with path.open("ab") as file:
                file.write(b"3,4\n")
        await send(message)

    await FileResponse(path)(scope, receive, send_while_the_file_grows)


listening = socket.create_server(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))
threading.Thread(target=server.run, args=([listening],), daemon=True).start()
connection = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=30)
connection.request("GET", "/")
answer = connection.getresponse()
announced = int(answer.headers["content-length"])
try:
    received = len(answer.read())
except http.client.IncompleteRead as error:
    received = len(error.partial)
print(f"announced {announced} bytes, received {received}")
sys.exit(0 if received < announced == 400 else 1)
PYTHON
