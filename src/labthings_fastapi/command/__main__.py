"""`python -m labthings_fastapi.command` is the command `labthings`."""

from .app import main

main()
