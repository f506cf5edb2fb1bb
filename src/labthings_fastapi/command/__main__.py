"""`python -m labthings_fastapi.command` is the command `labthings`."""

from .app import main

if __name__ == "__main__":
    main()
