"""The W3C vocabulary as data; pure."""
