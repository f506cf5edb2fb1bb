"""Things over HTTP."""
