"""Things over WebSockets."""
