"""The floor for starting: a FastAPI app with nothing but one route."""

import sys

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/ready")
async def ready() -> bool:
    return True


uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
