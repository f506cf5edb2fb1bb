"""Serve the configuration given as JSON with the peer, without a line of log for each request."""

import json
import sys

import uvicorn

from labthings_fastapi import ThingServer

config = json.loads(sys.argv[1])
server = ThingServer.from_things(config.pop("things"), **config)
uvicorn.run(server.app, port=int(sys.argv[2]), access_log=False, log_level="warning")
