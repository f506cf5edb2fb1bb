"""uvicorn, sockets and TLS: how bytes reach the app."""
