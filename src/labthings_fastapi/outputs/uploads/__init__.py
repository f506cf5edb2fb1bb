"""Uploads: bytes that clients send as the input of actions (`POST /blob`)."""
